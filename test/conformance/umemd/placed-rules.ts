import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { pageKey, type PageKey } from '../source/lane.js';
import { fromBits } from '../wire/page-bits.js';
import type { PlayedLane } from './played-lane.js';
import type { UmemdContext } from './umemd-context.js';

const PLACED = 'page_source.proto, UmemRequest.placed';

function confirmedBy(lanes: readonly PlayedLane[]): PageKey[] {
  return lanes.flatMap(({ confirmed }) => confirmed);
}

export const placedRules: readonly Rule<UmemdContext>[] = [
  ...(['PLACEMENT_COPY', 'PLACEMENT_CACHE'] as const).map((placement): Rule<UmemdContext> => ({
    id: `umemd/placed/all-${placement === 'PLACEMENT_COPY' ? 'copy' : 'cache'}`,
    title:
      'With confirm_placed every page is confirmed when it is in place, before EOC, and no page that is not',
    from: `${PLACED}; umemd.proto, ConnectUmemRequest.confirm_placed`,
    async run(context) {
      const set = await context.set({ confirmPlaced: true, placement, backgroundLanes: 2 });
      const { demand, background } = await set.armed();
      await set.touch('ram1', 100);
      await demand.until('the page to be confirmed', () => confirmedBy([demand, ...background]).length > 0);
      checkSameList('pages confirmed', [...new Set(confirmedBy([demand, ...background]))], ['ram1:100']);
      const [a] = background;
      check(a !== undefined, 'There is no background lane');
      await set.push(a);
      for (const lane of [demand, ...background]) await lane.changes.until('EOC', () => lane.hasEoc || null);
      const confirmed = new Set(confirmedBy([demand, ...background]));
      checkSameList('pages confirmed', [...confirmed].sort(), [...set.ram.keys].sort());
      await set.release();
      await set.checkMemory();
    },
  })),
  {
    id: 'umemd/placed/not-before-armed',
    title: 'Pages that have come before the set is armed are not in place, and not confirmed',
    from: `${PLACED}: pages that are in place`,
    async run(context) {
      const set = await context.set({ confirmPlaced: true });
      await set.park();
      const { demand, background } = await set.lanes(1);
      await background[0]?.pages('ram0', [10, 11]);
      checkSame('state', (await set.get()).state, 'UMEM_STATE_HANDED_OFF');
      checkSame('pages confirmed', confirmedBy([demand, ...background]).length, 0);
      await set.arm();
      await background[0]?.until('the pages to be confirmed', () => background[0]?.confirmed.length === 2);
    },
  },
  {
    id: 'umemd/placed/received',
    title: 'What was confirmed is in the received bitmaps of the next connection',
    from: 'protocol.md, PLACED: when you connect anew received must have them',
    async run(context) {
      const set = await context.set({ confirmPlaced: true });
      const { demand, background } = await set.armed();
      for (let pgoff = 0; pgoff < 300; pgoff += 3) await background[0]?.pages('ram0', [pgoff]);
      await set.touch('ram1', 7);
      await background[0]?.until('a page to be confirmed', () => (background[0]?.confirmed.length ?? 0) > 0);
      set.source.kill();
      const confirmed = confirmedBy([demand, ...background]);
      await set.source.start();
      const next = await set.lanesAfter(1);
      for (const { init } of [next.demand, ...next.background]) {
        const received = new Set(
          init.received.flatMap(({ block_id: id, bits }) =>
            fromBits(bits).map((pgoff) => pageKey(id, pgoff)),
          ),
        );
        const lost = confirmed.filter((key) => !received.has(key));
        checkSameList('confirmed pages that INIT does not have', lost, []);
      }
      return `${confirmed.length} pages confirmed`;
    },
  },
];
