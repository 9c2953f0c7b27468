import { status } from '@grpc/grpc-js';
import { LaneKind, PageEncoding, UmemState, type PageRun } from '@umem/api';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Fixture } from '../testing/page-server-fixture.js';
import type { SourceLane, TestSource } from '../testing/test-source.js';

const MiB = 1 << 20;
const PAGE = 4096;

async function start(blocks: Record<string, number> = { ram0: 4 * MiB }, settings = {}): Promise<Fixture> {
  const fixture = new Fixture(blocks);
  onTestFinished(() => fixture.close());
  return fixture.start(settings);
}

/** First byte of a page as the source has it. */
function firstByte(fixture: Fixture, blockId: string, pgoff: number): number | undefined {
  return fixture.ram.get(blockId)?.[pgoff * PAGE];
}

/** Lets background lanes of every generation push everything. */
function pushOnEveryLane(source: TestSource): void {
  const push = (lane: SourceLane): void => void source.push(lane);
  for (const lane of source.lanes) if (lane.init.laneKind === LaneKind.BACKGROUND) push(lane);
  source.opened = (lane) => {
    if (lane.init.laneKind === LaneKind.BACKGROUND) push(lane);
  };
}

describe('transfer', () => {
  test('a whole VM arrives over demand and background lanes, and its memory becomes plain', async () => {
    const fixture = await start({ ram0: 8 * MiB, ram1: 2 * MiB });
    const { source, side } = await fixture.arm(2);
    const demand = await source.lane(LaneKind.DEMAND);
    expect(await fixture.vmm.read('ram0', 17)).toBe(firstByte(fixture, 'ram0', 17));
    const [first, second] = [
      await source.lane(LaneKind.BACKGROUND, 1),
      await source.lane(LaneKind.BACKGROUND, 2),
    ];
    const half = (page: number): boolean => page % 256 < 128;
    await Promise.all([
      source.push(first, { keep: (_, page) => half(page) }),
      source.push(second, { keep: (_, page) => !half(page) }),
    ]);
    await side.hear('quit');
    side.say({ $case: 'quit', value: {} });
    const { stats } = await fixture.until(({ state }) => state === UmemState.RELEASED);
    expect(fixture.differences()).toEqual([]);
    expect(demand.requests.at(-1)?.$case).toBe('eoc');
    expect(first.requests.at(-1)?.$case).toBe('eoc');
    expect(stats).toMatchObject({
      totalPages: 2560n,
      remainingPages: 0n,
      demandPages: 1n,
      backgroundPages: 2559n,
      duplicatePages: 1n,
      removedPages: 0n,
      faults: 1n,
      recoveries: 0n,
      pendingRequests: 0n,
    });
    expect(stats?.faultLatency?.count).toBe(1n);
    expect(stats?.blockedThreads).toHaveLength(1);
  });

  test('a fault that was raised before the set was armed is answered once it is', async () => {
    const fixture = await start();
    const { handoffSocketPath } = await fixture.create();
    const source = await fixture.source();
    await fixture.connect(fixture.target(source, 1));
    const side = fixture.attach();
    await fixture.handOver(handoffSocketPath);
    const read = fixture.vmm.read('ram0', 3);
    await fixture.until(({ stats }) => stats?.faults === 1n);
    const demand = await source.lane(LaneKind.DEMAND);
    expect(demand.requests).toEqual([]);
    side.ready();
    expect(await read).toBe(firstByte(fixture, 'ram0', 3));
    expect(demand.demanded).toEqual(['ram0:3']);
  });

  test('without background lanes the guest pulls everything, and asks for each page once', async () => {
    const fixture = await start({ ram0: 64 * PAGE });
    const { source, side } = await fixture.arm(0);
    const reads = Array.from({ length: 64 }, (_, page) => fixture.vmm.read('ram0', page));
    const again = Array.from({ length: 64 }, (_, page) => fixture.vmm.read('ram0', page));
    await Promise.all([...reads, ...again]);
    await side.hear('quit');
    const { demanded } = await source.lane(LaneKind.DEMAND);
    expect(demanded).toHaveLength(64);
    expect(new Set(demanded).size).toBe(64);
    expect(fixture.differences()).toEqual([]);
  });

  test('a page that background brings before the answer to its fault wakes the guest, and the answer is dropped', async () => {
    const fixture = await start();
    const { source } = await fixture.arm(1);
    source.behaviour.answerDemand = false;
    const demand = await source.lane(LaneKind.DEMAND);
    const background = await source.lane(LaneKind.BACKGROUND);
    const read = fixture.vmm.read('ram0', 9);
    await demand.until(() => demand.demanded.length === 1);
    source.sendPages(background, 'ram0', 0, 16);
    expect(await read).toBe(firstByte(fixture, 'ram0', 9));
    source.sendPages(demand, 'ram0', 9, 1);
    // The lane's thread tells the event loop, which keeps the times, a moment after it has placed.
    const { stats } = await fixture.until(
      ({ stats }) =>
        stats?.duplicatePages === 1n && stats.backgroundPages === 16n && stats.faultLatency?.count === 1n,
    );
    expect(stats?.demandPages).toBe(0n);
  });

  test('pages that the source pushes before the set is armed wait in the lane', async () => {
    const fixture = await start();
    const { handoffSocketPath } = await fixture.create();
    const source = await fixture.source();
    await fixture.connect(fixture.target(source, 1));
    pushOnEveryLane(source);
    const side = fixture.attach();
    await fixture.handOver(handoffSocketPath);
    await side.hear('ready', UmemState.HANDED_OFF);
    expect((await fixture.get()).stats?.remainingPages).toBe(1024n);
    side.ready();
    await side.hear('quit');
    expect(fixture.differences()).toEqual([]);
  });

  test('pages that are missing after end of stream are asked for, once', async () => {
    const fixture = await start();
    const { source, side } = await fixture.arm(1);
    const background = await source.lane(LaneKind.BACKGROUND);
    const demand = await source.lane(LaneKind.DEMAND);
    await source.push(background, { keep: (_, page) => page >= 100 && page < 130 });
    demand.eos();
    await background.until(() => background.requests.length > 0);
    expect(background.requests).toEqual([
      {
        $case: 'background',
        value: { blockId: 'ram0', pgoffs: Array.from({ length: 30 }, (_, i) => 100 + i) },
      },
    ]);
    source.sendPages(background, 'ram0', 100, 30);
    await side.hear('quit');
    expect(fixture.differences()).toEqual([]);
  });

  test('without background lanes, pages that are missing after end of stream are demanded', async () => {
    const fixture = await start({ ram0: 8 * PAGE });
    const { source, side } = await fixture.arm(0);
    await fixture.vmm.read('ram0', 2);
    const demand = await source.lane(LaneKind.DEMAND);
    demand.eos();
    await side.hear('quit');
    expect(demand.demanded).toEqual(['ram0:2', ...[0, 1, 3, 4, 5, 6, 7].map((page) => `ram0:${page}`)]);
    expect(fixture.differences()).toEqual([]);
  });

  test('of pages that several lanes bring at once, each is placed exactly once', async () => {
    const fixture = await start({ ram0: 4 * MiB, ram1: MiB });
    const { source, side } = await fixture.arm(2);
    const lanes = [await source.lane(LaneKind.BACKGROUND, 1), await source.lane(LaneKind.BACKGROUND, 2)];
    const [ranges] = fc.sample(
      fc.array(fc.tuple(fc.nat({ max: 1000 }), fc.integer({ min: 1, max: 24 })), {
        minLength: 150,
        maxLength: 150,
      }),
      { numRuns: 1, seed: 20111123 },
    );
    for (const [i, [first, count]] of (ranges ?? []).entries()) {
      const lane = i % 3 === 2 ? await source.lane(LaneKind.DEMAND) : lanes[i % 3];
      if (lane) source.sendPages(lane, 'ram0', first, count);
    }
    await Promise.all(lanes.map((lane) => source.push(lane)));
    await side.hear('quit');
    const { stats } = await fixture.get();
    expect((stats?.demandPages ?? 0n) + (stats?.backgroundPages ?? 0n)).toBe(1280n);
    expect(stats?.remainingPages).toBe(0n);
    expect(stats?.duplicatePages).toBeGreaterThan(0n);
    expect(fixture.differences()).toEqual([]);
  });

  test('a set of a VMM that answers no QUIT is released all the same', async () => {
    const fixture = await start({ ram0: 4 * PAGE });
    const { source } = await fixture.arm(1);
    pushOnEveryLane(source);
    await fixture.until(({ state }) => state === UmemState.RELEASED);
    await fixture.vmm.write('ram0', 1, 200);
    expect(await fixture.vmm.read('ram0', 1)).toBe(200);
  });

  test('a source that does not end its lanes after EOC keeps nobody', async () => {
    const fixture = await start({ ram0: 4 * PAGE });
    const { source, side } = await fixture.arm(1);
    source.behaviour.answerEoc = false;
    pushOnEveryLane(source);
    await side.hear('quit');
    side.say({ $case: 'quit', value: {} });
    await fixture.until(({ state }) => state === UmemState.RELEASED);
  });
});

describe('pages that the guest gives up', () => {
  test('are told to the source, never filled, and read as zeros', async () => {
    const fixture = await start();
    const { source, side } = await fixture.arm(1);
    const demand = await source.lane(LaneKind.DEMAND);
    await fixture.vmm.remove('ram0', 8, 4);
    await demand.until(() => demand.requests.length > 0);
    expect(demand.requests).toEqual([
      { $case: 'remove', value: { blockId: 'ram0', pgoffs: [8, 9, 10, 11] } },
    ]);
    pushOnEveryLane(source);
    await side.hear('quit');
    expect((await fixture.get()).stats).toMatchObject({
      removedPages: 4n,
      duplicatePages: 4n,
      remainingPages: 0n,
    });
    expect(fixture.differences()).toEqual(['ram0:8', 'ram0:9', 'ram0:10', 'ram0:11']);
    expect(await fixture.vmm.read('ram0', 8)).toBe(0);
  });

  test('after they arrived, read as zeros and count only once', async () => {
    const fixture = await start();
    const { source } = await fixture.arm(1);
    expect(await fixture.vmm.read('ram0', 1)).toBe(firstByte(fixture, 'ram0', 1));
    await fixture.vmm.remove('ram0', 1, 1);
    expect(await fixture.vmm.read('ram0', 1)).toBe(0);
    await fixture.vmm.remove('ram0', 1, 1);
    expect(await fixture.vmm.read('ram0', 1)).toBe(0);
    expect((await fixture.get()).stats).toMatchObject({ demandPages: 1n, removedPages: 0n, faults: 3n });
    expect((await source.lane(LaneKind.DEMAND)).demanded).toEqual(['ram0:1']);
  });

  test('while a thread waits for them, let that thread read zeros', async () => {
    const fixture = await start();
    const { source } = await fixture.arm(1);
    source.behaviour.answerDemand = false;
    const demand = await source.lane(LaneKind.DEMAND);
    const read = fixture.vmm.read('ram0', 5);
    await demand.until(() => demand.demanded.length === 1);
    await fixture.vmm.remove('ram0', 5, 1);
    expect(await read).toBe(0);
    source.sendPages(demand, 'ram0', 5, 1);
    await fixture.until(({ stats }) => stats?.duplicatePages === 1n);
    expect(await fixture.vmm.read('ram0', 5)).toBe(0);
  });

  test('may be all that was missing', async () => {
    const fixture = await start({ ram0: 8 * PAGE });
    const { side } = await fixture.arm(1);
    await fixture.vmm.remove('ram0', 0, 8);
    await side.hear('quit');
    expect((await fixture.get()).stats).toMatchObject({ removedPages: 8n, remainingPages: 0n });
  });

  test("before the set is armed are the VMM's own business: the guest still gets them", async () => {
    const fixture = await start();
    const { handoffSocketPath } = await fixture.create();
    const source = await fixture.source();
    await fixture.connect(fixture.target(source, 1));
    const side = fixture.attach();
    await fixture.handOver(handoffSocketPath);
    await fixture.vmm.remove('ram0', 0, 1024);
    side.ready();
    pushOnEveryLane(source);
    await side.hear('quit');
    expect(fixture.differences()).toEqual([]);
  });

  test('as the VMM side says, count as given up', async () => {
    const fixture = await start({ ram0: 8 * PAGE });
    const { source, side } = await fixture.arm(1);
    side.say({ $case: 'pageUnmapped', value: { blockId: 'ram0', pgoffs: [1, 5] } });
    const demand = await source.lane(LaneKind.DEMAND);
    await demand.until(() => demand.requests.length === 2);
    pushOnEveryLane(source);
    await side.hear('quit');
    expect((await fixture.get()).stats).toMatchObject({ removedPages: 2n, backgroundPages: 6n });
  });

  test('in a storm, while everything arrives, leave no page wrong and none unsettled', async () => {
    const fixture = await start({ ram0: 32 * MiB });
    const { source, side } = await fixture.arm(2);
    const removed = new Set<string>();
    const storm = (async () => {
      for (let round = 0; round < 400; round++) {
        // Wherever the source is just pushing, and anywhere.
        const arrived = Number((await fixture.get()).stats?.backgroundPages ?? 0n);
        const page = (round % 2 === 0 ? arrived + (round % 64) : round * 2654435761) % 8192;
        removed.add(`ram0:${page}`);
        await Promise.all([fixture.vmm.remove('ram0', page, 1), fixture.vmm.read('ram0', (page + 7) % 8192)]);
      }
    })();
    pushOnEveryLane(source);
    await storm;
    await side.hear('quit');
    const { stats } = await fixture.get();
    expect(stats?.remainingPages).toBe(0n);
    expect((stats?.demandPages ?? 0n) + (stats?.backgroundPages ?? 0n) + (stats?.removedPages ?? 0n)).toBe(
      8192n,
    );
    expect(fixture.differences().filter((page) => !removed.has(page))).toEqual([]);
    const ram = fixture.vmm.contents('ram0');
    const filled = [...removed].filter((page) => {
      const at = Number(page.slice('ram0:'.length)) * PAGE;
      return ram.subarray(at, at + PAGE).some((byte) => byte !== 0);
    });
    expect(filled).toEqual([]);
  });
});

describe('a lane that is lost', () => {
  test('after the set was armed is connected again with what has arrived, and waiting faults are asked for again', async () => {
    const fixture = await start();
    const { source, side } = await fixture.arm(1);
    source.behaviour.answerDemand = false;
    const demand = await source.lane(LaneKind.DEMAND);
    const background = await source.lane(LaneKind.BACKGROUND);
    source.sendPages(background, 'ram0', 0, 64);
    const read = fixture.vmm.read('ram0', 700);
    await demand.until(() => demand.demanded.length === 1);
    await fixture.until(({ stats }) => stats?.backgroundPages === 64n);
    background.end(status.UNAVAILABLE, 'cable pulled');
    const again = await source.lane(LaneKind.DEMAND, 2);
    expect(again.init.generation).toBe(2n);
    const [received] = again.init.received;
    expect(received?.blockId).toBe('ram0');
    expect([...(received?.bits ?? [])].slice(0, 9)).toEqual([...new Array<number>(8).fill(255), 0]);
    await again.until(() => again.demanded.length === 1);
    expect(again.demanded).toEqual(['ram0:700']);
    await demand.until(() => demand.ended);
    source.sendPages(again, 'ram0', 700, 1);
    expect(await read).toBe(firstByte(fixture, 'ram0', 700));
    pushOnEveryLane(source);
    await side.hear('quit');
    expect((await fixture.get()).stats?.recoveries).toBe(1n);
    expect(fixture.differences()).toEqual([]);
  });

  test('comes back however often it is cut', async () => {
    const fixture = await start({ ram0: 16 * MiB });
    const { source, side } = await fixture.arm(1);
    for (let cut = 1; cut <= 4; cut++) {
      await fixture.until(
        ({ state, stats }) => state === UmemState.ARMED && stats?.recoveries === BigInt(cut - 1),
      );
      const lane = await source.lane(cut % 2 === 0 ? LaneKind.DEMAND : LaneKind.BACKGROUND, cut);
      const background = await source.lane(LaneKind.BACKGROUND, cut);
      source.sendPages(background, 'ram0', cut * 64, 64);
      lane.end(status.UNAVAILABLE, 'cable pulled');
    }
    const last = await source.lane(LaneKind.BACKGROUND, 5);
    expect(last.init.generation).toBe(5n);
    await source.push(last);
    await side.hear('quit');
    expect((await fixture.get()).stats?.recoveries).toBe(4n);
    expect(fixture.differences()).toEqual([]);
  });

  test('with its whole source waits until a source is there again', async () => {
    const fixture = await start();
    const { source, side } = await fixture.arm(1);
    await fixture.vmm.read('ram0', 1);
    source.kill();
    await fixture.until(({ state }) => state === UmemState.DETACHED || state === UmemState.RECOVERING);
    const read = fixture.vmm.read('ram0', 2);
    await fixture.until(({ stats }) => stats?.faults === 2n && stats.pendingRequests === 1n);
    const later = await fixture.source(source.address);
    pushOnEveryLane(later);
    expect(await read).toBe(firstByte(fixture, 'ram0', 2));
    await side.hear('quit');
    expect(fixture.differences()).toEqual([]);
  });

  test('after the guest gave up all that is missing is not missed', async () => {
    const fixture = await start({ ram0: 8 * PAGE });
    const { source, side } = await fixture.arm(1);
    source.kill();
    await fixture.until(({ state }) => state === UmemState.DETACHED || state === UmemState.RECOVERING);
    await fixture.vmm.remove('ram0', 0, 8);
    await side.hear('quit');
    await fixture.until(({ state }) => state === UmemState.RELEASED);
  });

  test('before the set was armed fails the set, for nothing is lost yet', async () => {
    const fixture = await start();
    const { handoffSocketPath } = await fixture.create();
    const source = await fixture.source();
    await fixture.connect(fixture.target(source, 1));
    const side = fixture.attach();
    await fixture.handOver(handoffSocketPath);
    (await source.lane(LaneKind.DEMAND)).end(status.CANCELLED, 'The migration was aborted');
    const { value } = await side.hear('error');
    expect(value.message).toContain('The migration was aborted');
    expect((await fixture.get()).state).toBe(UmemState.FAILED);
    await fixture.delete();
  });

  test('by refusals in a row ends in ERROR, and the guest waits for ever rather than read zeros', async () => {
    const fixture = await start(undefined, { maxRefusals: 3 });
    const { source, side } = await fixture.arm(1);
    await fixture.vmm.read('ram0', 1);
    let refused = 0;
    source.behaviour.accept = () => {
      refused++;
      return { code: status.NOT_FOUND, details: 'There is no migration mig-1' };
    };
    (await source.lane(LaneKind.DEMAND)).end(status.UNAVAILABLE, 'restart');
    const { value } = await side.hear('error');
    expect(value).toMatchObject({ missingPages: 1023n });
    expect(value.message).toContain('There is no migration mig-1');
    expect(refused).toBeGreaterThanOrEqual(3);
    expect((await fixture.get()).state).toBe(UmemState.FAILED);

    let arrived = false;
    const read = fixture.vmm.read('ram0', 2).then(() => (arrived = true));
    await expect(fixture.delete()).rejects.toThrow(/1023 pages are missing and a guest may be running/);
    while ((await fixture.get()).stats?.faults !== 2n);
    expect(arrived).toBe(false);
    await fixture.delete(true);
    await read;
  });

  test('is counted as lost for good only after refusals, never after a link that stays away', async () => {
    const fixture = await start(undefined, { maxRefusals: 2, maxReconnectDelay: '20ms' });
    const { source } = await fixture.arm(0);
    source.kill();
    let attempts = 0;
    await fixture.until(({ state }) => state === UmemState.RECOVERING && ++attempts > 3);
    expect((await fixture.get()).error).toBe('');
  });
});

describe('a bad batch', () => {
  const raw = Buffer.alloc(PAGE, 0xee);
  const bad: Record<string, { block?: string; runs: Partial<PageRun>[]; data?: Buffer }> = {
    'of an unknown block': { block: 'nope', runs: [{}], data: raw },
    'past the end of its block': {
      runs: [{ pgoff: 1023, pageCount: 2 }],
      data: Buffer.concat([raw, raw]),
    },
    'with overlapping runs': {
      runs: [{ pgoff: 2 }, { pgoff: 2 }],
      data: Buffer.concat([raw, raw]),
    },
    'with less data than its runs': { runs: [{ pgoff: 2, pageCount: 2 }], data: raw },
    'with more data than its runs': {
      runs: [{ pgoff: 2, encoding: PageEncoding.FILL }],
      data: raw,
    },
    'with an unset encoding': { runs: [{ encoding: PageEncoding.UNSPECIFIED }] },
    'with a fill value of two bytes': {
      runs: [{ encoding: PageEncoding.FILL, fillValue: 256 }],
    },
    'with an empty run': { runs: [{ pageCount: 0 }] },
    'without runs': { runs: [] },
    'with too many RAW pages': {
      runs: [{ pageCount: 257 }],
      data: Buffer.alloc(257 * PAGE),
    },
  };
  for (const kind of [LaneKind.DEMAND, LaneKind.BACKGROUND] as const)
    for (const [name, { block = 'ram0', runs, data = Buffer.alloc(0) }] of Object.entries(bad))
      test(`${name} on a ${LaneKind[kind].toLowerCase()} lane ends the lane, places nothing and is recovered from`, async () => {
        const fixture = await start();
        const { source, side } = await fixture.arm(1);
        const lane = await source.lane(kind);
        lane.batch(block, runs, data);
        await lane.until(() => lane.ended);
        await source.lane(kind, 2);
        expect((await fixture.get()).stats?.remainingPages).toBe(1024n);
        pushOnEveryLane(source);
        await side.hear('quit');
        expect(fixture.differences()).toEqual([]);
      });
});
