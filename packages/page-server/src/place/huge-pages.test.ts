import { LaneKind, Placement, UmemState } from '@umem/api';
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { HUGE_PAGE, reserveHugePages } from '../testing/huge-pages.js';
import { Fixture } from '../testing/page-server-fixture.js';

const reserved = reserveHugePages(64);
afterAll(() => {
  if (typeof reserved !== 'string') reserved.release();
});
const title = typeof reserved === 'string' ? `RAM on huge pages (skipped: ${reserved})` : 'RAM on huge pages';
const PAGES = 512;

describe.skipIf(typeof reserved === 'string')(title, () => {
  async function start(hugePages: number): Promise<Fixture> {
    const directory = typeof reserved === 'string' ? '' : reserved.directory;
    const fixture = new Fixture({ ram0: hugePages * HUGE_PAGE }, directory, HUGE_PAGE);
    onTestFinished(() => fixture.close());
    return fixture.start();
  }
  const byteAt = (fixture: Fixture, page: number): number | undefined =>
    fixture.ram.get('ram0')?.[page * 4096];

  test('a fault asks for all target pages of its huge page, which is placed once, when whole', async () => {
    const fixture = await start(4);
    const { source } = await fixture.arm(1);
    source.behaviour.answerDemand = false;
    const demand = await source.lane(LaneKind.DEMAND);
    const background = await source.lane(LaneKind.BACKGROUND);
    source.sendPages(background, 'ram0', 600, 20);
    await fixture.until(({ stats }) => stats?.backgroundPages === 20n);
    let isThere = false;
    const read = fixture.vmm.read('ram0', 777).then((value) => {
      isThere = true;
      return value;
    });
    await demand.until(() => demand.demanded.length === PAGES - 20);
    expect(new Set(demand.demanded).size).toBe(PAGES - 20);
    for (let page = 512; page < 1023; page += 73) {
      const count = Math.min(73, 1023 - page);
      source.sendPages(demand, 'ram0', page, count);
    }
    const { stats } = await fixture.until((umem) => umem.stats?.demandPages === BigInt(PAGES - 21));
    expect(isThere).toBe(false);
    expect(stats?.remainingPages).toBe(BigInt(4 * PAGES));
    source.sendPages(background, 'ram0', 1023, 1);
    expect(await read).toBe(byteAt(fixture, 777));
    const after = await fixture.until((umem) => umem.stats?.faultLatency?.count === 1n);
    expect(after.stats).toMatchObject({
      faults: 1n,
      duplicatePages: 20n,
      remainingPages: BigInt(3 * PAGES),
    });
  });

  test('a whole VM arrives over demand and background lanes', async () => {
    const fixture = await start(16);
    const { source, side } = await fixture.arm(2);
    const lanes = [await source.lane(LaneKind.BACKGROUND, 1), await source.lane(LaneKind.BACKGROUND, 2)];
    const reads = [4000, 100, 8000, 3999].map(async (page) =>
      expect(await fixture.vmm.read('ram0', page)).toBe(byteAt(fixture, page)),
    );
    await Promise.all([
      ...reads,
      ...lanes.map((lane, i) => source.push(lane, { keep: (_, page) => (page >> 6) % 2 === i })),
    ]);
    await side.hear('quit');
    const { stats } = await fixture.until(({ state }) => state === UmemState.RELEASED);
    expect(fixture.differences()).toEqual([]);
    expect((stats?.demandPages ?? 0n) + (stats?.backgroundPages ?? 0n)).toBe(BigInt(16 * PAGES));
    expect(stats?.remainingPages).toBe(0n);
  });

  test('pages that come in no order at all, more than there is room for, are all there in the end', async () => {
    const fixture = await start(40);
    const { source, side } = await fixture.arm(2);
    const lanes = [await source.lane(LaneKind.BACKGROUND, 1), await source.lane(LaneKind.BACKGROUND, 2)];
    const runs = fc.sample(fc.nat({ max: 40 * 8 - 1 }), { numRuns: 600, seed: 7 });
    for (const [i, run] of runs.entries()) {
      const lane = lanes[i % 2];
      if (lane) source.sendPages(lane, 'ram0', run * 64, 64);
    }
    const read = fixture.vmm.read('ram0', 39 * PAGES + 5);
    source.answerBackground = true;
    for (const lane of [...lanes, await source.lane(LaneKind.DEMAND)]) lane.eos();
    expect(await read).toBe(byteAt(fixture, 39 * PAGES + 5));
    await side.hear('quit');
    expect(fixture.differences()).toEqual([]);
  });

  test('what waits to become whole is kept over a lost lane, and counts as received', async () => {
    const fixture = await start(2);
    const { source, side } = await fixture.arm(1);
    const background = await source.lane(LaneKind.BACKGROUND);
    source.sendPages(background, 'ram0', 0, 64);
    await fixture.until(({ stats }) => stats?.backgroundPages === 64n);
    background.end(status.UNAVAILABLE, 'cable pulled');
    const again = await source.lane(LaneKind.BACKGROUND, 2);
    expect([...(again.init.received[0]?.bits ?? [])].slice(0, 9)).toEqual([...Array<number>(8).fill(255), 0]);
    await source.push(again, { keep: (_, page) => page < 64 });
    await side.hear('quit');
    expect(fixture.differences()).toEqual([]);
  });

  test('a faulted huge page is asked for again over the next lane, but for what has arrived', async () => {
    const fixture = await start(2);
    const { source } = await fixture.arm(0);
    source.behaviour.answerDemand = false;
    const demand = await source.lane(LaneKind.DEMAND);
    const read = fixture.vmm.read('ram0', 3);
    await demand.until(() => demand.demanded.length === PAGES);
    source.sendPages(demand, 'ram0', 0, 100);
    await fixture.until(({ stats }) => stats?.demandPages === 100n);
    demand.end(status.UNAVAILABLE, 'cable pulled');
    source.behaviour.answerDemand = true;
    const again = await source.lane(LaneKind.DEMAND, 2);
    expect(await read).toBe(byteAt(fixture, 3));
    expect(again.demanded).toHaveLength(PAGES - 100);
  });

  test('huge pages that are given up are never filled, and read as zeros', async () => {
    const fixture = await start(4);
    const { source, side } = await fixture.arm(1);
    const background = await source.lane(LaneKind.BACKGROUND);
    const demand = await source.lane(LaneKind.DEMAND);
    // Half of it waits already.
    source.sendPages(background, 'ram0', 512, 200);
    await fixture.until(({ stats }) => stats?.backgroundPages === 200n);
    await fixture.vmm.remove('ram0', 512, 512);
    await demand.until(() => demand.requests.some(({ $case }) => $case === 'remove'));
    expect(await fixture.vmm.read('ram0', 700)).toBe(0);
    await source.push(background);
    await side.hear('quit');
    const { stats } = await fixture.get();
    expect(stats).toMatchObject({ removedPages: 312n, remainingPages: 0n });
    const expected = Array.from({ length: 512 }, (_, i) => `ram0:${512 + i}`).filter(
      (_, i) => (512 + i) % 8 !== 7,
    );
    expect(fixture.differences()).toEqual(expected);
  });

  test('a part of a huge page that the VMM side gives up is zeros, and the rest is filled', async () => {
    const fixture = await start(1);
    const { source, side } = await fixture.arm(1);
    const background = await source.lane(LaneKind.BACKGROUND);
    source.sendPages(background, 'ram0', 0, 10);
    await fixture.until(({ stats }) => stats?.backgroundPages === 10n);
    side.say({ $case: 'pageUnmapped', value: { blockId: 'ram0', pgoffs: [3, 400] } });
    await fixture.until(({ stats }) => stats?.removedPages === 1n);
    await source.push(background);
    await side.hear('quit');
    expect(fixture.differences()).toEqual(['ram0:3', 'ram0:400']);
  });

  test('a huge page that was thrown out without an event reads as zeros', async () => {
    const fixture = await start(2);
    const { source } = await fixture.arm(1);
    expect(await fixture.vmm.read('ram0', 0)).toBe(byteAt(fixture, 0));
    await fixture.vmm.punch('ram0', 0, 512);
    expect(await fixture.vmm.read('ram0', 1)).toBe(0);
    expect((await source.lane(LaneKind.DEMAND)).demanded).toHaveLength(PAGES);
  });

  test('a handoff with pages of another size is refused', async () => {
    const fixture = await start(1);
    const { handoffSocketPath } = await fixture.create();
    await fixture.vmm.map('ram0', HUGE_PAGE);
    const region = { ...fixture.vmm.region('ram0'), page_size: 4096 };
    expect(await fixture.vmm.send(handoffSocketPath, [region], ['uffd:ram0'])).toBe('CLOSED');
    expect(await fixture.vmm.handOver(handoffSocketPath, 'ram0')).toBe('READY');
  });

  test('pages are placed through a mapping of our own too', async () => {
    const fixture = await start(4);
    fixture.placing.placement = Placement.CACHE;
    const { source, side } = await fixture.arm(1);
    expect(await fixture.vmm.read('ram0', 1600)).toBe(byteAt(fixture, 1600));
    await source.push(await source.lane(LaneKind.BACKGROUND));
    await side.hear('quit');
    expect(fixture.differences()).toEqual([]);
  });
});
