import { LaneKind, UmemState } from '@umem/api';
import { expect, onTestFinished, test } from 'vitest';
import { Fixture } from '../testing/page-server-fixture.js';

const MiB = 1 << 20;
const REGIONS = 11;

/** A fixture with one block, whose VMM has it as anonymous memory in many regions under one userfaultfd. */
async function start(): Promise<{ fixture: Fixture; names: string[]; regions: Record<string, number>[] }> {
  const fixture = new Fixture({ 'pc.ram': REGIONS * MiB });
  onTestFinished(() => fixture.close());
  await fixture.start();
  await fixture.vmm.makePlain();
  const names = Array.from({ length: REGIONS }, (_, i) => `r${i}`);
  for (const name of names) await fixture.vmm.mapAnonymous(name, MiB, name === 'r0' ? '' : 'r0');
  const regions = names.map((name, i) => {
    const base = Number(fixture.vmm.region(name)['base_host_virt_addr']);
    return { base_host_virt_addr: base, size: MiB, offset: i * MiB, page_size: 4096, page_size_kib: 4096 };
  });
  return { fixture, names, regions };
}

test('a VMM like Firecracker, whose message comes in pieces and waits for nothing, is filled completely', async () => {
  const { fixture, names, regions } = await start();
  const { handoffSocketPath } = await fixture.create();
  const source = await fixture.source();
  await fixture.connect(fixture.target(source, 1));
  const side = fixture.attach();
  expect(await fixture.vmm.drip(handoffSocketPath, regions, ['uffd:r0'])).toBe('CLOSED');
  await side.hear('ready', UmemState.HANDED_OFF);
  side.ready();
  await side.hear('ready', UmemState.ARMED);
  const ram = fixture.ram.get('pc.ram') ?? Buffer.alloc(0);
  expect(await fixture.vmm.read('r10', 200)).toBe(ram[10 * MiB + 200 * 4096]);
  await fixture.vmm.write('r3', 5, 99);
  await source.push(await source.lane(LaneKind.BACKGROUND));
  await side.hear('quit');
  await fixture.until(({ state }) => state === UmemState.RELEASED);
  ram[3 * MiB + 5 * 4096] = 99;
  for (const [i, name] of names.entries())
    expect(fixture.vmm.memory(name).equals(ram.subarray(i * MiB, (i + 1) * MiB)), name).toBe(true);
});

test('the memory of its child is a copy, which is not served and does not hold the VMM up', async () => {
  const fixture = new Fixture({ ram0: MiB });
  onTestFinished(() => fixture.close());
  await fixture.start();
  await fixture.vmm.tellAllEvents();
  await fixture.vmm.mapAnonymous('ram0', MiB);
  const { handoffSocketPath } = await fixture.create();
  const source = await fixture.source();
  await fixture.connect(fixture.target(source, 1));
  const side = fixture.attach();
  expect(await fixture.vmm.send(handoffSocketPath, [fixture.vmm.region('ram0')], ['uffd:ram0'])).toBe(
    'READY',
  );
  side.ready();
  await side.hear('ready', UmemState.ARMED);
  expect(await fixture.vmm.readInChild('ram0', 4)).toBe(0);
  expect(await fixture.vmm.read('ram0', 4)).toBe(fixture.ram.get('ram0')?.[4 * 4096]);
  await source.push(await source.lane(LaneKind.BACKGROUND));
  await side.hear('quit');
  expect(fixture.vmm.memory('ram0').equals(fixture.ram.get('ram0') ?? Buffer.alloc(0))).toBe(true);
});
