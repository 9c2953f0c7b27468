import { crc32 } from 'node:zlib';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { pageKey, type PageKey } from '../source/lane.js';
import type { UmemdContext } from './umemd-context.js';
import { FEATURES } from './vmm.js';

const EVENTS = 'protocol.md, The handoff: changes of the mappings';
const ZEROS = crc32(Buffer.alloc(4096));

function keys(from: number, count: number): PageKey[] {
  return Array.from({ length: count }, (_, index) => pageKey('ram0', from + index));
}

const PLACEMENTS = [
  { kind: 'copy', placement: 'PLACEMENT_COPY' },
  { kind: 'cache', placement: 'PLACEMENT_CACHE' },
] as const;

export const mappingRules: readonly Rule<UmemdContext>[] = PLACEMENTS.flatMap(
  ({ kind, placement }): Rule<UmemdContext>[] => {
    const options = { placement, features: FEATURES.allEvents };
    return [
      {
        id: `umemd/mapping/moved-${kind}`,
        title: `A VMM that moves its RAM to another address is followed, with pages on their way (${placement})`,
        from: EVENTS,
        async run(context) {
          const set = await context.set(options);
          const { background } = await set.armed();
          const [lane] = background;
          check(lane !== undefined, 'There is no background lane');
          await set.touch('ram0', 1);
          await set.vmm.move('ram0');
          await set.touch('ram0', 2);
          await lane.pages('ram0', [0, 1, 2, 3]);
          await set.untilStats('the pages to be placed', ({ background_pages: pages }) => pages === '2');
          const pushing = set.push(lane, new Set(keys(500, 12)));
          await set.vmm.move('ram0');
          await set.touch('ram0', 505);
          await pushing;
          for (const pgoff of [300, 511]) await set.touch('ram0', pgoff);
          await lane.pages(
            'ram0',
            keys(500, 12).map((_, index) => 500 + index),
          );
          await set.release();
          await set.checkMemory();
        },
      },
      {
        id: `umemd/mapping/waits-while-moved-${kind}`,
        title: `A thread that waits for a page while the RAM is moved reads it where it is then (${placement})`,
        from: EVENTS,
        async run(context) {
          const set = await context.set(options);
          set.source.answersDemand = false;
          const { demand, background } = await set.armed();
          const other = set.touch('ram0', 8);
          other.catch(() => undefined);
          await set.vmm.untilWaiting(1);
          await set.vmm.move('ram1');
          const read = set.touch('ram1', 9);
          read.catch(() => undefined);
          await demand.until('both pages to be demanded', () => demand.demanded.length === 2);
          await background[0]?.pages('ram1', [9]);
          await demand.pages('ram0', [8]);
          await Promise.all([read, other]);
        },
      },
      {
        id: `umemd/mapping/unmapped-${kind}`,
        title: `Pages that a VMM unmaps are given up: REMOVE, and the set completes without them (${placement})`,
        from: EVENTS,
        async run(context) {
          const set = await context.set(options);
          const { demand, background } = await set.armed();
          await set.vmm.unmap('ram0', 100, 50);
          await demand.until('REMOVE', () => demand.removed.length >= 50);
          checkSameList('pages removed', [...demand.removed].sort(), keys(100, 50).sort());
          await set.touch('ram0', 99);
          await set.touch('ram0', 150);
          if (background[0] !== undefined) await set.push(background[0]);
          await set.release();
          checkSame('removed_pages', (await set.get()).stats?.removed_pages ?? '', '50');
          for (const pgoff of [0, 98, 151, 511]) await set.touch('ram0', pgoff);
        },
      },
      {
        id: `umemd/mapping/fork-${kind}`,
        title: `A child of the VMM shares the RAM and is served, and so is its parent (${placement})`,
        from: EVENTS,
        async run(context) {
          const set = await context.set(options);
          const { background } = await set.armed();
          checkSame(
            'the page, read by the child',
            await set.vmm.readInChild('ram0', 77),
            set.ram.crc('ram0', 77),
          );
          await set.touch('ram0', 78);
          await set.touch('ram1', 4);
          if (background[0] !== undefined) await set.push(background[0]);
          await set.release();
          await set.checkMemory();
        },
      },
      {
        id: `umemd/mapping/punched-${kind}`,
        title: `A page that a hole in the file takes away, without an event, reads as zeros and is not filled again (${placement})`,
        from: EVENTS,
        async run(context) {
          const set = await context.set({ placement });
          const { demand, background } = await set.armed();
          await set.touch('ram0', 3);
          await set.vmm.punch('ram0', 3, 1);
          checkSame('the page', await set.vmm.read('ram0', 3), ZEROS);
          checkSameList('pages demanded', demand.demanded, ['ram0:3']);
          await background[0]?.pages('ram0', [3, 4]);
          await set.touch('ram0', 4);
          checkSame('the page', await set.vmm.read('ram0', 3), ZEROS);
        },
      },
    ];
  },
);
