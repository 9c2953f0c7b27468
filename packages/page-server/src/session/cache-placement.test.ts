import { LaneKind, Placement, UmemState } from '@umem/api';
import { InvalidArgument } from '@umem/errors';
import { readFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Fixture, type VmmSide } from '../testing/page-server-fixture.js';
import { TestVmm } from '../testing/test-vmm.js';

const MiB = 1 << 20;
const PAGE = 4096;

async function start(
  blocks: Record<string, number> = { ram0: 4 * MiB },
  postcopyFlags = 0,
  settings = {},
): Promise<Fixture> {
  const fixture = new Fixture(blocks);
  fixture.placing.placement = Placement.CACHE;
  fixture.placing.postcopyFlags = postcopyFlags;
  onTestFinished(() => fixture.close());
  return fixture.start(settings);
}

/** Another process on the RAM files of the fixture's VMM, as a vhost-user back end is. */
function secondProcess(): TestVmm {
  const vmm = new TestVmm();
  onTestFinished(() => vmm.close());
  return vmm;
}

function byteAt(fixture: Fixture, page: number): number | undefined {
  return fixture.ram.get('ram0')?.[page * PAGE];
}

/** Resident memory of this process that is shared, in KiB: what mappings of RAM files add. */
function residentSharedKiB(): number {
  return Number(/RssShmem:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

describe('placement CACHE', () => {
  test('two processes on one RAM file are served by one transfer, and one placing wakes both', async () => {
    const fixture = await start();
    const backEnd = secondProcess();
    const { handoffSocketPath } = await fixture.create();
    const source = await fixture.source();
    await fixture.connect(fixture.target(source, 1));
    const side = fixture.attach();
    await fixture.vmm.map('ram0', 4 * MiB);
    await backEnd.mapFileOf(fixture.vmm, 'ram0');
    expect(await fixture.vmm.handOver(handoffSocketPath, 'ram0')).toBe('READY');
    await side.hear('ready', UmemState.HANDED_OFF);
    expect(await backEnd.handOver(handoffSocketPath, 'ram0')).toBe('READY');
    side.ready();
    await side.hear('ready', UmemState.ARMED);
    source.behaviour.answerDemand = false;
    const demand = await source.lane(LaneKind.DEMAND);
    const reads = [fixture.vmm.read('ram0', 9), backEnd.read('ram0', 9)];
    await fixture.until(({ stats }) => stats?.faults === 2n);
    await demand.until(() => demand.demanded.length > 0);
    expect(demand.demanded).toEqual(['ram0:9']);
    source.sendPages(await source.lane(LaneKind.BACKGROUND), 'ram0', 9, 1);
    expect(await Promise.all(reads)).toEqual([byteAt(fixture, 9), byteAt(fixture, 9)]);
    source.behaviour.answerDemand = true;
    const more = await Promise.all([fixture.vmm.read('ram0', 20), backEnd.read('ram0', 21)]);
    expect(more).toEqual([byteAt(fixture, 20), byteAt(fixture, 21)]);
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    expect(fixture.differences()).toEqual([]);
    await backEnd.write('ram0', 20, 77);
    expect(await fixture.vmm.read('ram0', 20)).toBe(77);
  });

  test('a process may hand over while the guest runs, and may leave', async () => {
    const fixture = await start();
    const { source, side } = await fixture.arm(1);
    const { handoffSocketPath } = await fixture.get();
    expect(await fixture.vmm.read('ram0', 1)).toBe(byteAt(fixture, 1));
    const backEnd = secondProcess();
    await backEnd.mapFileOf(fixture.vmm, 'ram0');
    expect(await backEnd.handOver(handoffSocketPath, 'ram0')).toBe('READY');
    expect(await backEnd.read('ram0', 2)).toBe(byteAt(fixture, 2));
    expect(await backEnd.read('ram0', 1)).toBe(byteAt(fixture, 1));
    const third = new TestVmm();
    await third.mapFileOf(fixture.vmm, 'ram0');
    expect(await third.handOver(handoffSocketPath, 'ram0')).toBe('READY');
    await third.close();
    expect(await backEnd.read('ram0', 3)).toBe(byteAt(fixture, 3));
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    await fixture.until(({ state }) => state === UmemState.RELEASED);
    expect(fixture.differences()).toEqual([]);
  });

  test('a process that unmapped its RAM without a word keeps nobody from completing', async () => {
    const fixture = await start();
    const { source, side } = await fixture.arm(1);
    const backEnd = secondProcess();
    await backEnd.mapFileOf(fixture.vmm, 'ram0');
    await backEnd.handOver((await fixture.get()).handoffSocketPath, 'ram0');
    expect(await backEnd.read('ram0', 2)).toBe(byteAt(fixture, 2));
    await backEnd.unmap('ram0', 0, 1024);
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    await fixture.until(({ state }) => state === UmemState.RELEASED);
    expect(fixture.differences()).toEqual([]);
  });

  test('what a process keeps mapped is plain in the end, whatever else it mapped between', async () => {
    const fixture = await start();
    const { source, side } = await fixture.arm(1);
    const backEnd = secondProcess();
    await backEnd.mapFileOf(fixture.vmm, 'ram0');
    await backEnd.handOver((await fixture.get()).handoffSocketPath, 'ram0');
    await backEnd.mapProgramOver('ram0', 100, 4);
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    await fixture.until(({ state }) => state === UmemState.RELEASED);
    expect(fixture.differences()).toEqual([]);
    // Were they registered still, this would wait for somebody to read the event.
    await backEnd.remove('ram0', 20, 2);
    await backEnd.remove('ram0', 1000, 2);
    expect(await fixture.vmm.read('ram0', 20)).toBe(0);
  });

  test('pages that one process gives up are zeros for all, and never filled', async () => {
    const fixture = await start();
    const { source, side } = await fixture.arm(1);
    const backEnd = secondProcess();
    await backEnd.mapFileOf(fixture.vmm, 'ram0');
    await backEnd.handOver((await fixture.get()).handoffSocketPath, 'ram0');
    await fixture.vmm.read('ram0', 4);
    await fixture.vmm.remove('ram0', 4, 4);
    expect(await backEnd.read('ram0', 4)).toBe(0);
    expect(await fixture.vmm.read('ram0', 5)).toBe(0);
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    expect(fixture.differences()).toEqual(['ram0:4', 'ram0:5', 'ram0:6']);
  });

  test('the page server does not grow with the RAM that it fills', async () => {
    const fixture = await start({ ram0: 64 * MiB });
    const { source, side } = await fixture.arm(2);
    const before = residentSharedKiB();
    const lanes = [await source.lane(LaneKind.BACKGROUND, 1), await source.lane(LaneKind.BACKGROUND, 2)];
    await Promise.all(
      lanes.map((lane, i) => source.push(lane, { keep: (_, page) => (page >> 7) % 2 === i })),
    );
    await side.hear('quit');
    expect(residentSharedKiB() - before).toBeLessThan(4096);
    expect(fixture.differences()).toEqual([]);
  });

  test('needs the RAM file in the handoff, and one file for all processes', async () => {
    const fixture = await start();
    const { handoffSocketPath } = await fixture.create();
    await fixture.vmm.map('ram0', 4 * MiB);
    const region = fixture.vmm.region('ram0');
    expect(await fixture.vmm.send(handoffSocketPath, [region], ['uffd:ram0'])).toBe('CLOSED');
    await fixture.vmm.map('other', 2 * MiB);
    expect(await fixture.vmm.send(handoffSocketPath, [region], ['uffd:ram0', 'file:other'])).toBe('CLOSED');
    expect(await fixture.vmm.handOver(handoffSocketPath, 'ram0')).toBe('READY');
    const stranger = secondProcess();
    await stranger.map('ram0', 4 * MiB);
    expect(await stranger.handOver(handoffSocketPath, 'ram0')).toBe('CLOSED');
    expect((await fixture.get()).state).toBe(UmemState.HANDED_OFF);
  });
});

describe('postcopy flags', () => {
  test('that are unknown, or that ask for touching without CACHE, are refused', async () => {
    const fixture = await start();
    for (const [placement, flags] of [
      [Placement.CACHE, 2],
      [Placement.CACHE, 3],
      [Placement.COPY, 1],
      [Placement.UNSPECIFIED, 1],
      [7, 0],
    ] as const) {
      Object.assign(fixture.placing, { placement, postcopyFlags: flags });
      await expect(fixture.create(), `${placement} ${flags}`).rejects.toThrow(InvalidArgument);
    }
  });

  /** Answers touching requests as the destination-agent does; the answer is the list of pages that were asked for. */
  function touch(side: VmmSide, kind: 'pageFaulted' | 'pageUnmapped' = 'pageFaulted'): readonly number[] {
    const asked: number[] = [];
    side.touch = (value) => {
      asked.push(...value.pgoffs);
      side.say({ $case: kind, value: { ...value, pgoffs: [...value.pgoffs] } });
    };
    return asked;
  }

  test('flag 1 asks to touch every placed page, each once, and counts the answers', async () => {
    const fixture = await start({ ram0: 64 * MiB }, 1);
    const { source, side } = await fixture.arm(1);
    const asked = touch(side);
    await fixture.vmm.read('ram0', 100);
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    const { stats } = await fixture.get();
    expect(stats?.touchedPages).toBe(16_384n);
    expect(stats?.touchRequests).toBeGreaterThanOrEqual(5n);
    expect(asked).toHaveLength(16_384);
    expect(new Set(asked).size).toBe(16_384);
  });

  test('pages that nobody maps any more are answered too: the end does not wait for them', async () => {
    const fixture = await start({ ram0: 64 * MiB }, 1, { quitTimeout: '10m' });
    const { source, side } = await fixture.arm(1);
    const asked = touch(side, 'pageUnmapped');
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    expect(asked).toHaveLength(16_384);
    expect((await fixture.get()).stats).toMatchObject({ touchedPages: 0n, removedPages: 0n });
    expect(fixture.differences()).toEqual([]);
  });

  test('a VMM side that comes back is asked again for what it did not answer', async () => {
    const fixture = await start({ ram0: MiB }, 1, { quitTimeout: '10m' });
    const { source, side } = await fixture.arm(1);
    source.sendPages(await source.lane(LaneKind.BACKGROUND), 'ram0', 0, 64);
    const { value } = await side.hear('triggerPageFault');
    side.say({ $case: 'pageFaulted', value: { ...value, pgoffs: value.pgoffs.slice(0, 1) } });
    await fixture.until(({ stats }) => stats?.touchedPages === 1n);
    side.hangUp();
    await side.ended();
    const after = fixture.attach();
    const asked = touch(after);
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await after.hear('quit');
    expect([...asked].sort((a, b) => a - b)).toEqual(Array.from({ length: 255 }, (_, i) => i + 1));
    expect((await fixture.get()).stats?.touchedPages).toBe(256n);
  });

  test('a VMM side that answers no touching request holds nothing up for long', async () => {
    const fixture = await start({ ram0: MiB }, 1);
    const { source, side } = await fixture.arm(1);
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('triggerPageFault');
    await side.hear('quit');
    expect((await fixture.get()).stats?.touchedPages).toBe(0n);
  });

  test('without flag 1 nothing is touched, and an answer to nothing ends the stream', async () => {
    const fixture = await start({ ram0: MiB });
    const { source, side } = await fixture.arm(1);
    const background = await source.lane(LaneKind.BACKGROUND);
    source.sendPages(background, 'ram0', 0, 64);
    await fixture.until(({ stats }) => stats?.backgroundPages === 64n);
    side.say({ $case: 'pageFaulted', value: { blockId: 'ram0', pgoffs: [1] } });
    await side.ended();
    expect(side.error?.message).toContain('no TRIGGER_PAGE_FAULT was sent');
    expect(side.told.some(({ $case }) => $case === 'triggerPageFault')).toBe(false);
    expect((await fixture.get()).stats).toMatchObject({ touchRequests: 0n, touchedPages: 0n });
    await source.push(background);
    await fixture.until(({ state }) => state === UmemState.RELEASED);
  });
});

describe('confirmation', () => {
  test('of placed pages is sent on the lane that brought them, before the end of connection', async () => {
    for (const placement of [Placement.COPY, Placement.CACHE]) {
      const fixture = await start({ ram0: 4 * MiB });
      Object.assign(fixture.placing, { placement, confirmPlaced: true });
      const { source, side } = await fixture.arm(1);
      await fixture.vmm.read('ram0', 1000);
      const background = await source.lane(LaneKind.BACKGROUND);
      const demand = await source.lane(LaneKind.DEMAND);
      await source.push(background);
      await side.hear('quit');
      const confirmed = (lane: typeof demand): number[] =>
        lane.requests.flatMap((request) =>
          request.$case === 'placed'
            ? request.value.ranges.flatMap(({ pgoff, pageCount }) =>
                Array.from({ length: pageCount }, (_, i) => pgoff + i),
              )
            : [],
        );
      expect(confirmed(demand)).toEqual([1000]);
      expect(confirmed(background).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 1024 }, (_, i) => i).filter((page) => page !== 1000),
      );
      expect(background.requests.at(-1)?.$case).toBe('eoc');
      expect(background.requests.filter(({ $case }) => $case === 'placed').length).toBeLessThan(10);
    }
  });

  test('is not sent unless it was asked for', async () => {
    const fixture = await start({ ram0: MiB });
    const { source, side } = await fixture.arm(1);
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    for (const lane of source.lanes)
      expect(lane.requests.some(({ $case }) => $case === 'placed')).toBe(false);
  });
});
