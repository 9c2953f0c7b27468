import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { pageKey } from '../source/lane.js';
import { methodOf } from '../wire/definitions.js';
import { withUnknownField } from '../wire/unknown-field.js';
import { untilTrue } from '../waits.js';
import type { UmemdContext } from './umemd-context.js';

const REQUEST = 'page_source.proto, UmemRequest';

function sum(numbers: readonly string[]): number {
  return numbers.reduce((total, each) => total + Number(each), 0);
}

export const faultRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/fault/demanded',
    title:
      'A fault becomes ON_DEMAND of its page on the demand lane; what comes is placed and wakes the guest',
    from: `${REQUEST}.on_demand`,
    async run(context) {
      const set = await context.set();
      const { demand, background } = await set.armed();
      await set.touch('ram0', 100);
      await set.touch('ram1', 252);
      await set.touch('ram0', 0);
      // A constant page, which travels as FILL.
      await set.touch('ram0', 4);
      checkSameList('pages demanded', demand.demanded, ['ram0:100', 'ram1:252', 'ram0:0', 'ram0:4']);
      checkSame('requests on the background lane', background[0]?.commands.length ?? 0, 0);
      const { stats } = await set.get();
      checkSame('demand_pages', stats?.demand_pages ?? '', '4');
      checkSame('fill_pages', stats?.fill_pages ?? '', '1');
      checkSame('faults', stats?.faults ?? '', '4');
      checkSame('remaining_pages', stats?.remaining_pages ?? '', String(512 + 253 - 4));
    },
  },
  {
    id: 'umemd/fault/statistics',
    title:
      'Every page counts once; every fault is in the latency histogram and among the threads that waited, and pages in the bytes on the wire',
    from: 'ram.proto, TransferStats and LatencyHistogram',
    async run(context) {
      const set = await context.set();
      const { background } = await set.armed();
      for (let pgoff = 0; pgoff < 20; pgoff++) await set.touch('ram0', pgoff * 7);
      await set.vmm.remove('ram1', 0, 3);
      await background[0]?.pages('ram0', [0, 1, 2, 7]);
      await set.untilStats(
        'all of it to be counted',
        ({ background_pages: pushed, removed_pages: removed, fault_latency: latency }) =>
          pushed === '2' && removed === '3' && latency?.count === '20',
      );
      const { stats } = await set.get();
      check(stats !== null, 'Umem.stats is not set');
      checkSame('demand_pages', stats.demand_pages, '20');
      checkSame('duplicate_pages', stats.duplicate_pages, '2');
      checkSame('remaining_pages', stats.remaining_pages, String(512 + 253 - 20 - 2 - 3));
      checkSame('faults', stats.faults, '20');
      checkSame('buckets in all', sum(stats.fault_latency?.power_of_two_buckets ?? []), 20);
      const { p50_us: p50, p99_us: p99, max_us: max } = stats.fault_latency ?? {};
      check(
        Number(p50) <= Number(p99) && Number(p99) <= Number(max),
        `p50 ${p50}, p99 ${p99}, longest ${max} us`,
      );
      checkSame('faults of threads', sum(stats.blocked_threads.map(({ faults }) => faults)), 20);
      // Of the 22 pages four or five are constant.
      check(Number(stats.wire_bytes) > 17 * 4096, `wire_bytes is ${stats.wire_bytes}`);
    },
  },
  {
    id: 'umemd/fault/unknown-field',
    title: 'A field that umemd does not know, in a batch that it knows, is ignored',
    from: 'protocol.md, Compatibility: ignore fields that you do not know',
    async run(context) {
      const set = await context.set();
      const { demand, background } = await set.armed();
      const { responseSerialize } = methodOf('PageSource', 'Serve');
      const reply = responseSerialize({ pages: set.ram.batch('ram0', [60, 61]) });
      await background[0]?.send(withUnknownField(reply));
      await set.untilStats('the pages to be placed', ({ background_pages: pages }) => pages === '2');
      for (const pgoff of [60, 61]) await set.touch('ram0', pgoff);
      checkSame('pages demanded', demand.demanded.length, 0);
    },
  },
  {
    id: 'umemd/fault/once',
    title: 'A page that many threads wait for is asked for once, and all of them run on',
    from: 'DESIGN §3: umemd asks for a page at most once',
    async run(context) {
      const set = await context.set();
      set.source.answersDemand = false;
      const { demand } = await set.armed();
      const reads = Array.from({ length: 5 }, () => set.vmm.read('ram0', 50));
      const other = set.vmm.read('ram0', 51);
      await set.vmm.untilWaiting(6);
      await demand.until('both pages to be demanded', () => demand.demanded.length >= 2);
      await demand.pages('ram0', [50, 51]);
      for (const read of [...reads]) checkSame('page', await read, set.ram.crc('ram0', 50));
      checkSame('page', await other, set.ram.crc('ram0', 51));
      checkSameList('pages demanded', [...demand.demanded].sort(), ['ram0:50', 'ram0:51']);
    },
  },
  {
    id: 'umemd/fault/parked',
    title: 'Faults before READY are parked: nothing is asked for until the set is armed, then all of it is',
    from: 'umemd.proto, UMEM_STATE_HANDED_OFF: faults are parked',
    async run(context) {
      const set = await context.set();
      await set.park();
      const reads = [3, 4, 5].map((pgoff) => set.vmm.read('ram0', pgoff));
      await set.vmm.untilWaiting(3);
      // The set is alive and has had its turn to ask.
      checkSame('state', (await set.get()).state, 'UMEM_STATE_HANDED_OFF');
      const { demand } = await set.lanes(1);
      checkSame('requests before the set is armed', demand.commands.length, 0);
      await set.arm();
      for (const [index, read] of reads.entries())
        checkSame('page', await read, set.ram.crc('ram0', 3 + index));
      checkSameList('pages demanded', [...demand.demanded].sort(), ['ram0:3', 'ram0:4', 'ram0:5']);
    },
  },
  {
    id: 'umemd/fault/not-before-armed',
    title: 'Pages that the source sends before the set is armed are not placed before, and not lost',
    from: 'umemd.proto, UMEM_STATE_HANDED_OFF',
    async run(context) {
      const set = await context.set();
      await set.park();
      const { background } = await set.lanes(1);
      await background[0]?.pages('ram0', [10, 11, 12]);
      checkSame('state', (await set.get()).state, 'UMEM_STATE_HANDED_OFF');
      await set.checkNotPlaced('ram0', [10, 11, 12]);
      await set.arm();
      await untilTrue(
        'the pages to be placed',
        async () => (await set.get()).stats?.background_pages === '3',
      );
      await set.touch('ram0', 11);
    },
  },
  {
    id: 'umemd/fault/before-background',
    title: 'Demand is answered while background pushes without pause',
    from: 'page_source.proto, LANE_KIND_DEMAND: never behind background pages',
    async run(context) {
      const set = await context.set({ sizes: { ram0: 16_384 }, backgroundLanes: 1 });
      const { demand, background } = await set.armed();
      const keep = new Set(Array.from({ length: 20 }, (_, index) => pageKey('ram0', 16_000 + index)));
      const pushing = background[0] === undefined ? Promise.resolve() : set.push(background[0], keep);
      let slowestMs = 0;
      for (let index = 0; index < 20; index++) {
        const startedMs = Date.now();
        await set.touch('ram0', 16_000 + index);
        slowestMs = Math.max(slowestMs, Date.now() - startedMs);
      }
      await pushing;
      checkSame('pages demanded', demand.demanded.filter((key) => keep.has(key)).length, 20);
      await set.release();
      await set.checkMemory();
      return `slowest fault ${slowestMs} ms`;
    },
  },
  {
    id: 'umemd/fault/pushed-meanwhile',
    title:
      'A page that was demanded may come over a background lane; the copy on the demand lane is dropped and counted',
    from: 'DESIGN §3: the second is dropped and counted',
    async run(context) {
      const set = await context.set();
      set.source.answersDemand = false;
      const { demand, background } = await set.armed();
      const read = set.vmm.read('ram0', 77);
      await demand.until('the page to be demanded', () => demand.demanded.length === 1);
      await background[0]?.pages('ram0', [77]);
      checkSame('page', await read, set.ram.crc('ram0', 77));
      // Other bytes: they must not reach the guest.
      const wrong = {
        block_id: 'ram0',
        runs: [{ pgoff: 77, page_count: 1, encoding: 'PAGE_ENCODING_FILL', fill_value: 1 }],
      };
      await demand.batch(wrong);
      await demand.pages('ram0', [78]);
      await untilTrue(
        'the next page to be placed',
        async () => (await set.get()).stats?.demand_pages === '1',
      );
      checkSame('duplicate_pages', (await set.get()).stats?.duplicate_pages ?? '', '1');
      await set.touch('ram0', 77);
    },
  },
  {
    id: 'umemd/fault/duplicates',
    title:
      'Of a page that comes several times the first counts; the others are dropped and counted, in parts of runs too',
    from: 'DESIGN §3: places it at most once',
    async run(context) {
      const set = await context.set();
      const { background } = await set.armed();
      const [lane] = background;
      check(lane !== undefined, 'There is no background lane');
      await lane.pages('ram0', [200, 201, 203, 212]);
      await lane.batch({
        block_id: 'ram0',
        runs: [{ pgoff: 199, page_count: 6, encoding: 'PAGE_ENCODING_FILL', fill_value: 9 }],
      });
      // A RAW run whose third page is there: the fourth must not get the third one's bytes.
      await lane.pages('ram0', [210, 211, 212, 213]);
      await untilTrue(
        'the batches to be placed',
        async () => (await set.get()).stats?.background_pages === '10',
      );
      checkSame('duplicate_pages', (await set.get()).stats?.duplicate_pages ?? '', '4');
      for (const pgoff of [200, 201, 203, 210, 211, 212, 213]) await set.touch('ram0', pgoff);
      for (const pgoff of [199, 202, 204])
        check(
          (await set.stored('ram0', pgoff)).every((byte) => byte === 9),
          `Page ${pgoff} does not hold its fill value`,
        );
    },
  },
  {
    id: 'umemd/fault/fill-values',
    title: 'FILL pages hold their value in every byte, from 0 to 255',
    from: 'page_source.proto, PAGE_ENCODING_FILL',
    async run(context) {
      const set = await context.set();
      const { background } = await set.armed();
      const runs = Array.from({ length: 256 }, (_, value) => ({
        pgoff: 2 * value,
        page_count: 1,
        encoding: 'PAGE_ENCODING_FILL',
        fill_value: value,
      }));
      await background[0]?.batch({ block_id: 'ram0', runs });
      await untilTrue(
        'the pages to be placed',
        async () => (await set.get()).stats?.background_pages === '256',
      );
      for (let value = 0; value < 256; value++)
        check(
          (await set.stored('ram0', 2 * value)).every((byte) => byte === value),
          `A page of ${value} is not all ${value}`,
        );
      checkSame('fill_pages', (await set.get()).stats?.fill_pages ?? '', '256');
    },
  },
  {
    id: 'umemd/fault/largest-batches',
    title: 'Batches of 256 RAW pages and of 4063 pages are taken',
    from: 'page_source.proto, PageBatch.runs',
    async run(context) {
      const set = await context.set({ sizes: { ram0: 4400 } });
      const { background } = await set.armed();
      const [lane] = background;
      check(lane !== undefined, 'There is no background lane');
      const raw = { pgoff: 0, page_count: 256, encoding: 'PAGE_ENCODING_RAW', fill_value: 0 };
      const data = (set.ram.blocks.get('ram0') ?? Buffer.of()).subarray(0, 256 * 4096);
      const fill = { pgoff: 256, page_count: 4063 - 256, encoding: 'PAGE_ENCODING_FILL', fill_value: 7 };
      await lane.batch({ block_id: 'ram0', runs: [raw, fill], data });
      await untilTrue(
        'the batch to be placed',
        async () => (await set.get()).stats?.background_pages === '4063',
      );
      for (const pgoff of [0, 3, 255])
        check(
          (await set.stored('ram0', pgoff)).equals(set.ram.page('ram0', pgoff)),
          `Page ${pgoff} is wrong`,
        );
      for (const pgoff of [256, 4062])
        check(
          (await set.stored('ram0', pgoff)).every((byte) => byte === 7),
          `Page ${pgoff} is wrong`,
        );
    },
  },
];
