import { LaneKind, Placement, UmemState } from '@umem/api';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Fixture, type VmmSide } from '../testing/page-server-fixture.js';
import type { TestSource } from '../testing/test-source.js';

const MiB = 1 << 20;
const PAGE = 4096;

for (const placement of [Placement.COPY, Placement.CACHE] as const) {
  describe(`with placement ${Placement[placement]}, a VMM`, () => {
    async function arm(): Promise<{ fixture: Fixture; source: TestSource; side: VmmSide }> {
      const fixture = new Fixture({ ram0: 4 * MiB });
      fixture.placing.placement = placement;
      onTestFinished(() => fixture.close());
      await fixture.start();
      await fixture.vmm.tellAllEvents();
      return { fixture, ...(await fixture.arm(1)) };
    }
    const byteAt = (fixture: Fixture, page: number): number | undefined =>
      fixture.ram.get('ram0')?.[page * PAGE];

    test('that moves its RAM is followed', async () => {
      const { fixture, source, side } = await arm();
      expect(await fixture.vmm.read('ram0', 1)).toBe(byteAt(fixture, 1));
      await fixture.vmm.move('ram0');
      expect(await fixture.vmm.read('ram0', 2)).toBe(byteAt(fixture, 2));
      const background = await source.lane(LaneKind.BACKGROUND);
      source.sendPages(background, 'ram0', 0, 64);
      await fixture.until(({ stats }) => stats?.backgroundPages === 62n);
      await fixture.vmm.move('ram0');
      expect(await fixture.vmm.read('ram0', 600)).toBe(byteAt(fixture, 600));
      await source.push(background);
      await side.hear('quit');
      expect(fixture.differences()).toEqual([]);
    });

    test('that unmaps a part of its RAM has given it up, and gets the rest', async () => {
      const { fixture, source, side } = await arm();
      await fixture.vmm.unmap('ram0', 512, 100);
      await fixture.until(({ stats }) => stats?.removedPages === 100n);
      expect(await fixture.vmm.read('ram0', 511)).toBe(byteAt(fixture, 511));
      expect(await fixture.vmm.read('ram0', 612)).toBe(byteAt(fixture, 612));
      await source.push(await source.lane(LaneKind.BACKGROUND));
      await side.hear('quit');
      await fixture.until(({ state }) => state === UmemState.RELEASED);
      const unmapped = (page: string): boolean => Number(page.slice(5)) >= 512 && Number(page.slice(5)) < 612;
      expect(fixture.differences().every(unmapped)).toBe(true);
    });

    test('that unmaps RAM while pages of it are on their way loses nothing else', async () => {
      const { fixture, source, side } = await arm();
      const push = source.push(await source.lane(LaneKind.BACKGROUND), { batchPages: 16 });
      await fixture.vmm.unmap('ram0', 700, 300);
      await push;
      await side.hear('quit');
      expect((await fixture.get()).stats?.remainingPages).toBe(0n);
      expect(fixture.differences().filter((page) => Number(page.slice(5)) < 700)).toEqual([]);
    });

    test('that forks has its child served too, for the child shares the RAM', async () => {
      const { fixture, source, side } = await arm();
      expect(await fixture.vmm.readInChild('ram0', 77)).toBe(byteAt(fixture, 77));
      expect(await fixture.vmm.read('ram0', 78)).toBe(byteAt(fixture, 78));
      await source.push(await source.lane(LaneKind.BACKGROUND));
      await side.hear('quit');
      await fixture.until(({ state }) => state === UmemState.RELEASED);
      expect(fixture.differences()).toEqual([]);
    });
  });
}

test('pages thrown out without an event read as zeros, and are not asked for again', async () => {
  const fixture = new Fixture({ ram0: MiB });
  onTestFinished(() => fixture.close());
  const { source } = await (await fixture.start()).arm(1);
  expect(await fixture.vmm.read('ram0', 3)).toBe(fixture.ram.get('ram0')?.[3 * PAGE]);
  await fixture.vmm.punch('ram0', 3, 1);
  expect(await fixture.vmm.read('ram0', 3)).toBe(0);
  expect((await source.lane(LaneKind.DEMAND)).demanded).toEqual(['ram0:3']);
});
