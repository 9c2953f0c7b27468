import { crc32 } from 'node:zlib';
import { status as Status } from '@grpc/grpc-js';
import { checkSame, checkSameList, check, type Rule } from '../rule.js';
import { pageKey, type PageKey } from '../source/lane.js';
import { fromBits } from '../wire/page-bits.js';
import type { UmemdContext } from './umemd-context.js';

const REMOVE = 'DESIGN §4.6; page_source.proto, UmemRequest.remove';
const ZEROS = crc32(Buffer.alloc(4096));

function keys(blockId: string, from: number, count: number): PageKey[] {
  return Array.from({ length: count }, (_, index) => pageKey(blockId, from + index));
}

export const removeRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/remove/told',
    title:
      'Pages that the guest gives up become REMOVE, are never asked for, never filled again, and read as zeros',
    from: REMOVE,
    async run(context) {
      const set = await context.set();
      const { demand, background } = await set.armed();
      await set.vmm.remove('ram0', 30, 4);
      await demand.until('REMOVE', () => demand.removed.length >= 4);
      checkSameList('pages removed', demand.removed, keys('ram0', 30, 4));
      await background[0]?.pages('ram0', [29, 30, 31, 32, 33, 34]);
      await set.touch('ram0', 29);
      await set.touch('ram0', 34);
      checkSame('a removed page', await set.vmm.read('ram0', 31), ZEROS);
      await set.checkNotPlaced('ram0', [30, 32, 33]);
      checkSame(
        'pages asked for',
        demand.demanded.filter((key) => keys('ram0', 30, 4).includes(key)).length,
        0,
      );
      checkSame('removed_pages', (await set.get()).stats?.removed_pages ?? '', '4');
    },
  },
  {
    id: 'umemd/remove/page-unmapped',
    title: 'PAGE_UNMAPPED from the VMM side does the same',
    from: 'umemd.proto, VmmCommand.page_unmapped',
    async run(context) {
      const set = await context.set();
      const { demand } = await set.armed();
      set.control.send({ page_unmapped: { block_id: 'ram1', pgoffs: [7, 9] } });
      await demand.until('REMOVE', () => demand.removed.length >= 2);
      checkSameList('pages removed', demand.removed, ['ram1:7', 'ram1:9']);
      checkSame('a removed page', await set.vmm.read('ram1', 7), ZEROS);
      await set.touch('ram1', 8);
      checkSameList('pages demanded', demand.demanded, ['ram1:8']);
    },
  },
  {
    id: 'umemd/remove/page-unmapped-wrong',
    title:
      'PAGE_UNMAPPED of pages that are not there ends the stream with a status that says so; the set goes on',
    from: 'umemd.proto, ControlPages: 1 to 4063',
    async run(context) {
      const wrong: readonly [object, readonly Status[]][] = [
        [{ block_id: 'no-such-block', pgoffs: [1] }, [Status.NOT_FOUND, Status.INVALID_ARGUMENT]],
        [{ block_id: 'ram0', pgoffs: [5, 512] }, [Status.OUT_OF_RANGE]],
        [{ block_id: 'ram0', pgoffs: [] }, [Status.INVALID_ARGUMENT]],
        [{ block_id: 'ram0', pgoffs: new Array<number>(4064).fill(5) }, [Status.INVALID_ARGUMENT]],
      ];
      for (const [pages, codes] of wrong) {
        const set = await context.set();
        const { demand } = await set.armed();
        set.control.send({ page_unmapped: pages });
        const { code, details } = await set.control.ended;
        check(codes.includes(code), `Control ended with ${Status[code]} "${details}"`);
        await set.touch('ram0', 5);
        checkSame('pages removed', demand.removed.length, 0);
      }
    },
  },
  {
    id: 'umemd/remove/waited-for',
    title: 'A thread that waits for a page that is given up runs on and reads zeros',
    from: REMOVE,
    async run(context) {
      const set = await context.set();
      set.source.answersDemand = false;
      await set.armed();
      const read = set.vmm.read('ram0', 40);
      await set.vmm.untilWaiting(1);
      await set.vmm.remove('ram0', 40, 1);
      checkSame('the page', await read, ZEROS);
    },
  },
  {
    id: 'umemd/remove/arrived',
    title: 'A page that has arrived and is then given up is not filled again',
    from: REMOVE,
    async run(context) {
      const set = await context.set();
      const { background } = await set.armed();
      await set.touch('ram0', 60);
      await set.vmm.remove('ram0', 60, 1);
      await background[0]?.pages('ram0', [60, 61]);
      await set.touch('ram0', 61);
      checkSame('the page', await set.vmm.read('ram0', 60), ZEROS);
    },
  },
  {
    id: 'umemd/remove/counts-as-received',
    title: 'A removed page counts as received: in INIT of the next connection, and for completion',
    from: REMOVE,
    async run(context) {
      const set = await context.set({ sizes: { ram0: 64 } });
      const { demand } = await set.armed();
      await set.vmm.remove('ram0', 10, 3);
      await demand.until('REMOVE', () => demand.removed.length >= 3);
      set.source.kill();
      await set.source.start();
      const next = await set.lanesAfter(1);
      checkSameList(
        'received pages',
        next.demand.init.received.flatMap(({ bits }) => fromBits(bits)),
        [10, 11, 12],
      );
      const removed = new Set(keys('ram0', 10, 3));
      await set.push(next.demand, removed);
      await set.release();
      await set.checkMemory(removed);
    },
  },
  {
    id: 'umemd/remove/everything',
    title: 'When the guest gives every page up, the set completes without one page',
    from: REMOVE,
    async run(context) {
      const set = await context.set({ sizes: { ram0: 64 } });
      const { demand, background } = await set.armed();
      await set.vmm.remove('ram0', 0, 64);
      await demand.changes.until('EOC', () => demand.hasEoc || null);
      await background[0]?.changes.until('EOC', () => background[0]?.hasEoc || null);
      await set.release();
      checkSame('removed_pages', (await set.get()).stats?.removed_pages ?? '', '64');
    },
  },
  {
    id: 'umemd/remove/races',
    title:
      'Pages that are given up while they are pushed are zeros or what the source has, never anything else, and the set completes',
    from: REMOVE,
    async run(context) {
      const set = await context.set({ sizes: { ram0: 2048 } });
      const { background } = await set.armed();
      const [lane] = background;
      check(lane !== undefined, 'There is no background lane');
      const pushing = set.push(lane);
      const removing = [];
      for (let from = 0; from < 2048; from += 64) removing.push(set.vmm.remove('ram0', from + 8, 8));
      await Promise.all([pushing, ...removing]);
      await set.release();
      const zeros = new Set(Array.from({ length: 32 }, (_, index) => keys('ram0', index * 64 + 8, 8)).flat());
      // A page that was given up after the memory had become plain is a hole, too.
      await set.checkMemory(zeros);
    },
  },
];
