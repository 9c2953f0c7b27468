import { isRegistered } from '../../kit/process-memory.js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { pageKey, type PageKey } from '../source/lane.js';
import type { UmemMessage } from '../wire/messages.js';
import { MAX_PGOFFS } from '../wire/read-batch.js';
import type { PlayedLane } from './played-lane.js';
import type { PlayedSet } from './played-set.js';
import type { UmemdContext } from './umemd-context.js';

const EOS = 'page_source.proto, UmemReply.eos';
const EOC = 'page_source.proto, UmemRequest.eoc';

async function checkEoc(lanes: readonly PlayedLane[]): Promise<void> {
  for (const lane of lanes) {
    await lane.changes.until('EOC', () => lane.hasEoc || null);
    checkSame('the last request', lane.commands.at(-1) ?? '', 'eoc');
  }
}

async function checkPlain(set: PlayedSet): Promise<void> {
  for (const id of set.ram.blocks.keys())
    check(!(await isRegistered(set.vmm.pid, set.ramPath(id))), `The memory of ${id} is still registered`);
}

export const completionRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/complete/eoc-quit',
    title: 'When every page is there: plain memory, EOC on every lane, QUIT, and after its answer RELEASED',
    from: `${EOC}; umemd.proto, UmemdCommand.quit`,
    async run(context) {
      const set = await context.set({ backgroundLanes: 2 });
      const { demand, background } = await set.armed();
      await set.touch('ram0', 8);
      const [a, b] = background;
      check(a !== undefined && b !== undefined, 'There are not two background lanes');
      await set.push(a, new Set([pageKey('ram0', 8)]));
      for (const lane of [demand, a, b]) await lane.eos();
      await set.control.hear('QUIT', ({ command }) => command === 'quit');
      await checkPlain(set);
      await checkEoc([demand, a, b]);
      set.control.send({ quit: {} });
      const { stats } = await set.until('UMEM_STATE_RELEASED');
      checkSame('remaining_pages', stats?.remaining_pages ?? '', '0');
      checkSame('demand_pages', stats?.demand_pages ?? '', '1');
      checkSame('background_pages', stats?.background_pages ?? '', String(512 + 253 - 1));
      await set.checkMemory();
      checkSameList(
        'states that were told',
        set.control.told.map(({ command }) => command ?? ''),
        ['ready', 'ready', 'quit'],
      );
    },
  },
  {
    id: 'umemd/complete/before-eos',
    title: 'The last page completes the set, EOS or not: EOC may come before EOS',
    from: EOC,
    async run(context) {
      const set = await context.set();
      const { demand, background } = await set.armed();
      if (background[0] !== undefined) await set.push(background[0]);
      await checkEoc([demand, ...background]);
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/complete/half-closed',
    title: 'With EOC umemd closes its half of the lane',
    from: `${EOC}: nothing more from this source`,
    async run(context) {
      const set = await context.set();
      set.source.answersEoc = false;
      const { demand, background } = await set.armed();
      if (background[0] !== undefined) await set.push(background[0]);
      for (const lane of [demand, ...background])
        await lane.changes.until('our half of the lane to be closed', () => lane.isHalfClosed || null);
      for (const lane of [demand, ...background]) lane.end();
      await set.release();
    },
  },
  {
    id: 'umemd/complete/by-demand',
    title: 'Without background lanes the set completes when the guest has touched everything',
    from: 'migration.proto, MigrationOptions.no_background',
    async run(context) {
      const set = await context.set({ sizes: { ram0: 128 }, backgroundLanes: 0 });
      const { demand } = await set.armed();
      await Promise.all(Array.from({ length: 128 }, (_, pgoff) => set.touch('ram0', pgoff)));
      await checkEoc([demand]);
      await set.release();
      checkSame('pages demanded', demand.demanded.length, 128);
    },
  },
  {
    id: 'umemd/complete/missing-after-eos',
    title:
      'Pages that are missing after EOS on every lane are asked for, at most 4063 at a time, and complete the set',
    from: `${EOS}: every page was sent, but one may be lost with a lane`,
    async run(context) {
      const set = await context.set({ sizes: { ram0: 5000, ram1: 8 } });
      const { demand, background } = await set.armed();
      const [lane] = background;
      check(lane !== undefined, 'There is no background lane');
      const lost = new Set<PageKey>([...set.ram.keys].filter((key) => key !== 'ram0:17'));
      await lane.pages('ram0', [17]);
      await demand.eos();
      await lane.eos();
      const asked = (): PageKey[] => [...demand.demanded, ...demand.wanted, ...lane.wanted, ...lane.demanded];
      await lane.changes.until('all missing pages to be asked for', () =>
        asked().length >= lost.size ? true : null,
      );
      checkSameList('pages asked for', asked().sort(), [...lost].sort());
      const lists = [...lane.commands, ...demand.commands].length;
      check(lists >= Math.ceil(5000 / MAX_PGOFFS), `${lists} messages for ${asked().length} pages`);
      await set.push(lane, new Set<PageKey>(['ram0:17']));
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/complete/eos-on-one-lane',
    title: 'EOS on one lane is not the end: what comes over the others is taken, and demand is answered',
    from: `${EOS}: once on each lane`,
    async run(context) {
      const set = await context.set({ backgroundLanes: 2 });
      const { demand, background } = await set.armed();
      const [a, b] = background;
      await a?.eos();
      await demand.eos();
      await set.touch('ram0', 30);
      checkSame('pages wanted', (a?.wanted.length ?? 0) + (b?.wanted.length ?? 0), 0);
      if (b !== undefined) {
        await set.push(b, new Set<PageKey>(['ram0:30']));
        await b.eos();
      }
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/complete/pages-after-eos',
    title: 'Pages may follow EOS: a demand is still answered after it',
    from: `${EOS}: demand requests are still answered after it`,
    async run(context) {
      const set = await context.set();
      set.source.answersDemand = false;
      const { demand, background } = await set.armed();
      const read = set.vmm.read('ram0', 3);
      await demand.until('the page to be demanded', () => demand.demanded.length === 1);
      const [lane] = background;
      if (lane !== undefined) await set.push(lane, new Set<PageKey>(['ram0:3']));
      await lane?.eos();
      await demand.eos();
      await demand.pages('ram0', [3]);
      checkSame('the page', await read, set.ram.crc('ram0', 3));
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/complete/quit-to-a-late-stream',
    title: 'A VMM side that comes back when every page is there is told QUIT',
    from: 'umemd.proto, UmemdCommand.quit',
    async run(context) {
      const set = await context.set();
      const { background } = await set.armed();
      set.control.hangUp();
      await set.control.ended;
      if (background[0] !== undefined) await set.push(background[0]);
      await set.until('UMEM_STATE_RESIDENT', 'UMEM_STATE_RELEASED');
      const umem = await set.get();
      if (umem.state !== 'UMEM_STATE_RESIDENT') return 'already released';
      set.attach();
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/complete/watch-ends',
    title: 'WatchUmem says RELEASED last and ends with OK, and GetUmem still answers',
    from: 'umemd.proto, WatchUmem: until the set is RELEASED',
    async run(context) {
      const set = await context.set();
      const { background } = await set.armed();
      const stream = set.client.watch<UmemMessage>('Umemd', 'WatchUmem', {
        name: set.name,
        interval_ms: 60_000,
      });
      let last = '';
      stream.on('data', ({ state }: UmemMessage) => (last = state));
      const ended = new Promise<void>((resolve, reject) => stream.on('end', resolve).on('error', reject));
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await ended;
      checkSame('the last state that was told', last, 'UMEM_STATE_RELEASED');
      checkSame('state', (await set.get()).state, 'UMEM_STATE_RELEASED');
    },
  },
  {
    id: 'umemd/complete/delete-released',
    title: 'A released set may be deleted, and the guest does not notice',
    from: 'umemd.proto, DeleteUmem',
    async run(context) {
      const set = await context.set();
      const { background } = await set.armed();
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await set.delete();
      await set.checkMemory();
    },
  },
];
