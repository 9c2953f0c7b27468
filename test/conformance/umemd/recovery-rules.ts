import { status as Status } from '@grpc/grpc-js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { pageKey } from '../source/lane.js';
import { untilTrue } from '../waits.js';
import { fromBits } from '../wire/page-bits.js';
import type { PlayedLane } from './played-lane.js';
import type { UmemdContext } from './umemd-context.js';

const INIT = 'page_source.proto, Init.received and generation';

function receivedOf({ init }: PlayedLane): string[] {
  return init.received.flatMap(({ block_id: id, bits }) => fromBits(bits).map((pgoff) => pageKey(id, pgoff)));
}

export const recoveryRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/recovery/received',
    title:
      'After the loss of its lanes umemd connects again with a higher generation and bitmaps of exactly what it has',
    from: INIT,
    async run(context) {
      const set = await context.set({ backgroundLanes: 2 });
      const { background } = await set.armed();
      await set.touch('ram1', 252);
      await background[1]?.pages('ram0', [0, 1, 2, 511]);
      await background[0]?.pages('ram1', [4, 9]);
      await untilTrue(
        'the pages to be placed',
        async () => (await set.get()).stats?.background_pages === '6',
      );
      set.source.kill();
      await set.until('UMEM_STATE_DETACHED', 'UMEM_STATE_RECOVERING');
      await set.source.start();
      const next = await set.lanesAfter(1);
      const expected = ['ram0:0', 'ram0:1', 'ram0:2', 'ram0:511', 'ram1:252', 'ram1:4', 'ram1:9'];
      for (const lane of [next.demand, ...next.background]) {
        checkSameList('received pages', receivedOf(lane).sort(), expected);
        for (const { block_id: id, bits } of lane.init.received)
          checkSame(`bytes of the bitmap of ${id}`, bits.length, Math.ceil(set.ram.pageCount(id) / 8));
        checkSame('umem-token', lane.token, set.target.token);
        checkSame('migration_id', lane.init.migration_id, set.target.migration_id);
      }
      const generations = new Set([next.demand, ...next.background].map(({ init }) => init.generation));
      checkSame('generations of one connection', generations.size, 1);
      await set.until('UMEM_STATE_ARMED');
      checkSame('recoveries', (await set.get()).stats?.recoveries ?? '', '1');
    },
  },
  {
    id: 'umemd/recovery/asks-again',
    title:
      'What was asked for and not answered is asked for again over the new connection; the guest waits meanwhile',
    from: 'DESIGN §7: a lane or the network',
    async run(context) {
      const set = await context.set();
      set.source.answersDemand = false;
      const first = await set.armed();
      const reads = [5, 6].map((pgoff) => set.vmm.read('ram0', pgoff));
      await first.demand.until('both pages to be demanded', () => first.demand.demanded.length === 2);
      set.source.kill();
      await set.until('UMEM_STATE_DETACHED', 'UMEM_STATE_RECOVERING');
      // A fault while there is no lane.
      reads.push(set.vmm.read('ram0', 7));
      await set.vmm.untilWaiting(3);
      set.source.answersDemand = true;
      await set.source.start();
      for (const [index, read] of reads.entries())
        checkSame('page', await read, set.ram.crc('ram0', 5 + index));
      const next = await set.lanesAfter(1);
      checkSameList('pages demanded', [...next.demand.demanded].sort(), ['ram0:5', 'ram0:6', 'ram0:7']);
    },
  },
  {
    id: 'umemd/recovery/one-lane',
    title: 'The loss of one lane is mended, and the set completes',
    from: INIT,
    async run(context) {
      for (const kind of ['demand', 'background'] as const) {
        const set = await context.set();
        const first = await set.armed();
        const lane = kind === 'demand' ? first.demand : first.background[0];
        await set.touch('ram0', 5);
        lane?.fail(Status.UNAVAILABLE, 'The suite has ended this lane');
        const next = await set.lanesAfter(1);
        await set.until('UMEM_STATE_ARMED');
        await set.push(next.background[0] ?? next.demand, new Set([pageKey('ram0', 5)]));
        await set.release();
        await set.checkMemory();
      }
    },
  },
  {
    id: 'umemd/recovery/ended-with-ok',
    title: 'A lane that the source ends with OK while pages are missing is lost like any other',
    from: INIT,
    async run(context) {
      const set = await context.set();
      const { demand } = await set.armed();
      demand.end();
      const next = await set.lanesAfter(1);
      check(next.demand !== demand, 'The lane was not opened again');
      await set.touch('ram0', 5);
    },
  },
  {
    id: 'umemd/recovery/again-and-again',
    title: 'Losses during the recovery itself are mended too, and no page is lost on the way',
    from: 'FIELD §3.9: recovery that works once is not recovery',
    async run(context) {
      const set = await context.set({ sizes: { ram0: 1024 } });
      await set.armed();
      let generation = 1;
      const have = new Set<string>();
      for (let time = 0; time < 4; time++) {
        const { demand } = await set.lanes(generation);
        const pgoffs = Array.from({ length: 50 }, (_, index) => time * 100 + index);
        await demand.pages('ram0', pgoffs);
        for (const pgoff of pgoffs) have.add(pageKey('ram0', pgoff));
        await untilTrue(
          'the pages to be placed',
          async () => (await set.get()).stats?.remaining_pages === String(1024 - have.size),
        );
        // The first lane of the next connection is accepted and lost before the second one is.
        let opened = 0;
        set.source.verdict = () =>
          ++opened === 1 ? 'accept' : { code: Status.UNAVAILABLE, details: 'Not yet' };
        set.source.kill();
        await set.source.start();
        await set.source.changes.until('half a connection', () => (opened >= 2 ? true : null));
        set.source.verdict = () => 'accept';
        const next = await set.lanesAfter(generation);
        checkSameList('received pages', receivedOf(next.demand).sort(), [...have].sort());
        generation = Number(next.demand.init.generation);
      }
      const { background } = await set.lanes(generation);
      if (background[0] !== undefined)
        await set.push(background[0], new Set([...have] as `${string}:${number}`[]));
      await set.release();
      await set.checkMemory();
      return `${generation} connections`;
    },
  },
  {
    id: 'umemd/recovery/before-armed',
    title: 'A lane that is lost before the set is armed ends the set: nothing is lost by starting again',
    from: 'DESIGN §6: any error here, nothing is lost',
    async run(context) {
      const set = await context.set();
      await set.park();
      set.source.kill();
      const { error } = await set.until('UMEM_STATE_FAILED');
      check(error !== '', 'Umem.error does not say why');
    },
  },
];
