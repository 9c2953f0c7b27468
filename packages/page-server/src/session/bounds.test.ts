import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { LaneKind, UmemState } from '@umem/api';
import { expect, onTestFinished, test } from 'vitest';
import { Fixture } from '../testing/page-server-fixture.js';

const MiB = 1 << 20;

test('a source that stalls while a guest faults everywhere at once leaves the page server as small as it was', async () => {
  const fixture = new Fixture({ ram0: 64 * MiB });
  onTestFinished(() => fixture.close());
  const { source, side } = await (await fixture.start()).arm(1);
  source.behaviour.answerDemand = false;
  const demand = await source.lane(LaneKind.DEMAND);
  const before = process.memoryUsage().rss;
  const threads = 1000;
  const reads = Array.from({ length: threads }, (_, i) => fixture.vmm.read('ram0', (i * 7919) % 16_384));
  await demand.until(() => demand.demanded.length === threads);
  // Nothing is asked for twice, however long the source is silent.
  await fixture.until(({ stats }) => stats?.faults === BigInt(threads));
  expect(demand.demanded).toHaveLength(threads);
  expect((await fixture.get()).stats?.pendingRequests).toBe(0n);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * MiB);
  await source.push(await source.lane(LaneKind.BACKGROUND));
  await Promise.all(reads);
  await side.hear('quit');
  expect(fixture.differences()).toEqual([]);
  expect(process.memoryUsage().rss - before).toBeLessThan(192 * MiB);
});

test('a source that pushes without end before the set is armed is held back, on every lane', async () => {
  const fixture = new Fixture({ ram0: 4 * MiB });
  onTestFinished(() => fixture.close());
  await fixture.start();
  const { handoffSocketPath } = await fixture.create();
  const source = await fixture.source();
  await fixture.connect(fixture.target(source, 1));
  const side = fixture.attach();
  await fixture.handOver(handoffSocketPath);
  await side.hear('ready', UmemState.HANDED_OFF);
  const data = fixture.ram.get('ram0')?.subarray(0, MiB) ?? Buffer.alloc(0);
  for (const kind of [LaneKind.DEMAND, LaneKind.BACKGROUND]) {
    const lane = await source.lane(kind);
    let takenMiB = 0;
    let isFull = false;
    while (takenMiB < 256 && !isFull) {
      takenMiB++;
      if (lane.batch('ram0', [{ pgoff: 0, pageCount: 256 }], data)) continue;
      const drained = once(lane.stream, 'drain').then(() => true);
      isFull = !(await Promise.race([drained, delay(1_000, false)]));
    }
    expect(takenMiB, LaneKind[kind]).toBeLessThan(64);
  }
});
