import { crc32 } from 'node:zlib';
import { status as Status } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { pageKey, type PageKey } from '../source/lane.js';
import { fromBits } from '../wire/page-bits.js';
import { PAGE_BYTES } from '../wire/read-batch.js';
import { HUGE_BYTES, type PlayedSet, type SetOptions } from './played-set.js';
import type { UmemdContext } from './umemd-context.js';

const HUGE = 'ram.proto, RamBlock.host_page_size_bytes; protocol.md, Host pages';
/** Target pages of a huge page. */
const PAGES = HUGE_BYTES / PAGE_BYTES;
const ZEROS = crc32(Buffer.alloc(PAGE_BYTES));

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

function keys(pgoffs: readonly number[]): PageKey[] {
  return pgoffs.map((pgoff) => pageKey('ram0', pgoff));
}

/** A set whose ram0 is on huge pages; ram1 is not. */
async function hugeSet(context: UmemdContext, pages: number, options: SetOptions = {}): Promise<PlayedSet> {
  const dir = await context.hugePages(pages);
  return context.set({
    sizes: { ram0: pages * PAGES, ram1: 61 },
    ...options,
    huge: { dir, blocks: ['ram0'] },
  });
}

export const hugeRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/huge/sizes',
    title:
      'A block that is no multiple of its host page is refused with INVALID_ARGUMENT, and so are host pages of no size',
    from: 'ram.proto, RamBlock',
    async run(context) {
      const { name } = await context.set();
      for (const [size, hostPage] of [
        [HUGE_BYTES + PAGE_BYTES, HUGE_BYTES],
        [HUGE_BYTES, 0],
        [HUGE_BYTES, 6000],
      ] as const) {
        const blocks = [
          { block_id: 'ram0', size_bytes: String(size), host_page_size_bytes: String(hostPage) },
        ];
        await checkRefused(
          `${size} bytes on host pages of ${hostPage}`,
          context.client.call('Umemd', 'CreateUmem', { name, blocks }),
          Status.INVALID_ARGUMENT,
        );
      }
      const giant = [
        { block_id: 'ram0', size_bytes: String(2 ** 30), host_page_size_bytes: String(2 ** 30) },
      ];
      await checkRefused(
        'Host pages of 1 GiB',
        context.client.call('Umemd', 'CreateUmem', { name, blocks: giant }),
        Status.INVALID_ARGUMENT,
        Status.FAILED_PRECONDITION,
      );
    },
  },
  {
    id: 'umemd/huge/handoff',
    title: 'A handoff with pages of another size than the set’s is refused; one with the right size is taken',
    from: 'protocol.md, The handoff: page_size',
    async run(context) {
      const set = await hugeSet(context, 2, { sizes: { ram0: 2 * PAGES } });
      await set.create();
      const vmm = await set.startVmm();
      const region = { ...vmm.region('ram0'), ram_block: 'ram0', page_size: 4096, page_size_kib: 4096 };
      checkSame('answer', await vmm.send(set.socket, [region], ['uffd:ram0', 'file:ram0']), 'CLOSED');
      checkSame('answer to a good handoff', await set.handOver('ram0'), 'READY');
    },
  },
  ...(['PLACEMENT_COPY', 'PLACEMENT_CACHE'] as const).map((placement): Rule<UmemdContext> => ({
    id: `umemd/huge/fault-${placement === 'PLACEMENT_COPY' ? 'copy' : 'cache'}`,
    title:
      'A fault on a huge page asks for each of its target pages that has not come, once; it is placed when whole, not before, and holds every byte',
    from: HUGE,
    async run(context) {
      const set = await hugeSet(context, 3, { placement });
      set.source.answersDemand = false;
      const { demand, background } = await set.armed();
      const [lane] = background;
      check(lane !== undefined, 'There is no background lane');
      const before = range(600, 620);
      await lane.pages('ram0', before);
      await set.untilStats('the pages to arrive', ({ background_pages: pages }) => pages === '20');
      let isThere = false;
      const read = set.touch('ram0', 777).finally(() => (isThere = true));
      read.catch(() => undefined);
      const missing = range(PAGES, 2 * PAGES).filter((pgoff) => !before.includes(pgoff));
      await demand.until(
        'all that is missing to be demanded',
        () => demand.demanded.length >= missing.length,
      );
      checkSameList('pages demanded', [...demand.demanded].sort(), keys(missing).sort());
      // All but the last, over both lanes, some of them again.
      for (let at = PAGES; at < 2 * PAGES - 1; at += 64)
        await (at % 128 === 0 ? demand : lane).pages('ram0', range(at, Math.min(at + 64, 2 * PAGES - 1)));
      await set.untilStats(
        'the pages to arrive',
        ({ demand_pages: demanded, background_pages: pushed }) =>
          Number(demanded) + Number(pushed) === PAGES - 1,
      );
      check(!isThere, 'The guest read a page of a huge page that was not whole');
      await set.checkNotPlaced('ram0', [777, 600, PAGES]);
      await demand.pages('ram0', [2 * PAGES - 1]);
      await read;
      for (const pgoff of [PAGES, 600, 619, 620, 1000, 2 * PAGES - 1]) await set.touch('ram0', pgoff);
      checkSame('pages demanded', demand.demanded.length, missing.length);
    },
  })),
  {
    id: 'umemd/huge/whole',
    title:
      'A VM whose blocks have large and small host pages arrives over all lanes in any order, to the last byte',
    from: HUGE,
    async run(context) {
      const set = await hugeSet(context, 6, { backgroundLanes: 2 });
      const { demand, background } = await set.armed();
      const reads = [3000, 5, 1500, 1501].map((pgoff) => set.touch('ram0', pgoff));
      reads.push(set.touch('ram1', 60));
      // Runs of 32, far from each other, alternately on two lanes: several huge pages become whole at once.
      const runs = range(0, (6 * PAGES) / 32);
      for (const index of runs) {
        const first = ((index * 37) % runs.length) * 32;
        await background[index % 2]?.pages('ram0', range(first, first + 32));
      }
      await Promise.all(reads);
      await background[0]?.pages('ram1', range(0, 61));
      await set.release();
      await set.checkMemory();
      const { stats } = await set.get();
      checkSame('pages', Number(stats?.demand_pages) + Number(stats?.background_pages), 6 * PAGES + 61);
      return `${demand.demanded.length} pages demanded`;
    },
  },
  {
    id: 'umemd/huge/recovery',
    title:
      'What waits to become whole is in the received bitmaps of the next connection, and a faulted huge page asks for the rest only',
    from: `${HUGE}; page_source.proto, Init.received`,
    async run(context) {
      const set = await hugeSet(context, 2);
      set.source.answersDemand = false;
      const { background } = await set.armed();
      await background[0]?.pages('ram0', range(0, 64));
      await set.untilStats('the pages to arrive', ({ background_pages: pages }) => pages === '64');
      const read = set.touch('ram0', 3);
      read.catch(() => undefined);
      await set.vmm.untilWaiting(1);
      set.source.kill();
      set.source.answersDemand = true;
      await set.source.start();
      const next = await set.lanesAfter(1);
      const received = next.demand.init.received
        .filter(({ block_id: id }) => id === 'ram0')
        .flatMap(({ bits }) => fromBits(bits));
      checkSameList('received pages', received, range(0, 64));
      await read;
      checkSameList('pages demanded', [...next.demand.demanded].sort(), keys(range(64, PAGES)).sort());
      if (next.background[0] !== undefined) await set.push(next.background[0], new Set(keys(range(0, 64))));
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/huge/removed',
    title:
      'A huge page that the guest gives up becomes REMOVE of what has not come of it, is never filled, and reads as zeros',
    from: `${HUGE}; page_source.proto, UmemRequest.remove`,
    async run(context) {
      const set = await hugeSet(context, 3);
      const { demand, background } = await set.armed();
      await background[0]?.pages('ram0', range(PAGES, PAGES + 200));
      await set.untilStats('the pages to arrive', ({ background_pages: pages }) => pages === '200');
      await set.vmm.remove('ram0', PAGES, PAGES);
      await demand.until('REMOVE', () => demand.removed.length >= PAGES - 200);
      checkSameList('pages removed', [...demand.removed].sort(), keys(range(PAGES + 200, 2 * PAGES)).sort());
      for (const pgoff of [PAGES, PAGES + 300]) checkSame('page', await set.vmm.read('ram0', pgoff), ZEROS);
      checkSame('pages demanded', demand.demanded.length, 0);
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await set.checkMemory(new Set(keys(range(PAGES, 2 * PAGES))));
    },
  },
  {
    id: 'umemd/huge/partly-unmapped',
    title: 'PAGE_UNMAPPED of a part of a huge page: that part is zeros, and the rest is what the source has',
    from: 'umemd.proto, VmmCommand.page_unmapped',
    async run(context) {
      const set = await hugeSet(context, 1);
      const { demand, background } = await set.armed();
      set.control.send({ page_unmapped: { block_id: 'ram0', pgoffs: [3, 400] } });
      await demand.until('REMOVE', () => demand.removed.length >= 2);
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await set.checkMemory(new Set(keys([3, 400])));
    },
  },
  {
    id: 'umemd/huge/confirmed',
    title: 'Target pages are confirmed when their huge page is in place, not when they arrive',
    from: 'page_source.proto, UmemRequest.placed: pages that are in place',
    async run(context) {
      const set = await hugeSet(context, 2, { confirmPlaced: true });
      const { demand, background } = await set.armed();
      const [lane] = background;
      check(lane !== undefined, 'There is no background lane');
      for (let at = 0; at < PAGES; at += 64)
        await lane.pages('ram0', range(at, Math.min(at + 64, PAGES - 1)));
      await lane.pages('ram1', [5]);
      const confirmed = (): Set<PageKey> => new Set([...demand.confirmed, ...lane.confirmed]);
      await lane.until('a small page to be confirmed', () => confirmed().has('ram1:5'));
      checkSameList('pages confirmed', [...confirmed()], ['ram1:5']);
      await lane.pages('ram0', [PAGES - 1]);
      await lane.until('the huge page to be confirmed', () => confirmed().size === PAGES + 1);
    },
  },
];
