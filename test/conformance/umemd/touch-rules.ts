import { status as Status } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { pageKey } from '../source/lane.js';
import { MAX_PGOFFS } from '../wire/read-batch.js';
import type { PageListMessage } from '../wire/messages.js';
import type { Control } from './control.js';
import type { SetOptions } from './played-set.js';
import type { UmemdContext } from './umemd-context.js';

const FLAGS = 'umemd.proto, CreateUmemRequest.postcopy_flags';
const TRIGGER = 'umemd.proto, UmemdCommand.trigger_page_fault';
const TOUCHING: SetOptions = { placement: 'PLACEMENT_CACHE', postcopyFlags: 1 };

/** Answers every TRIGGER_PAGE_FAULT. */
function answerTouches(control: Control, answer: (pages: PageListMessage) => object): void {
  control.onCommand = ({ trigger_page_fault: pages }) => {
    if (pages) control.send(answer(pages));
  };
}

export const touchRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/touch/flags',
    title: 'Unknown postcopy flags are refused with INVALID_ARGUMENT, and so is touching without CACHE',
    from: FLAGS,
    async run(context) {
      const { name, ram } = await context.set();
      for (const [placement, flags] of [
        ['PLACEMENT_CACHE', 2],
        ['PLACEMENT_CACHE', 3],
        ['PLACEMENT_CACHE', 2 ** 31],
        ['PLACEMENT_COPY', 1],
        ['PLACEMENT_COPY', 4],
        ['PLACEMENT_UNSPECIFIED', 1],
      ] as const) {
        const request = { name, blocks: ram.messages, placement, postcopy_flags: flags };
        await checkRefused(
          `${placement} with flags ${flags}`,
          context.client.call('Umemd', 'CreateUmem', request),
          Status.INVALID_ARGUMENT,
        );
      }
    },
  },
  {
    id: 'umemd/touch/every-page',
    title:
      'With flag 1 every page is named in a TRIGGER_PAGE_FAULT once, when it has been placed, at most 4063 in one, before QUIT; answers are counted',
    from: TRIGGER,
    async run(context) {
      const set = await context.set({ ...TOUCHING, sizes: { ram0: 9000, ram1: 253 } });
      const { background } = await set.armed();
      const early: string[] = [];
      const looks: Promise<void>[] = [];
      const { control } = set;
      const look = async (pages: PageListMessage): Promise<void> => {
        for (const pgoff of [pages.pgoffs[0] ?? 0, pages.pgoffs.at(-1) ?? 0]) {
          const bytes = await set.stored(pages.block_id, pgoff);
          if (!bytes.equals(set.ram.page(pages.block_id, pgoff))) early.push(pageKey(pages.block_id, pgoff));
        }
        control.send({ page_faulted: pages });
      };
      control.onCommand = ({ trigger_page_fault: pages }) => {
        if (pages) looks.push(look(pages));
      };
      await set.touch('ram0', 100);
      if (background[0] !== undefined) await set.push(background[0]);
      await control.hear('QUIT', ({ command }) => command === 'quit');
      await Promise.all(looks);
      checkSameList('pages named before they were placed', early, []);
      checkSameList('pages named', [...control.triggered].sort(), [...set.ram.keys].sort());
      const longest = Math.max(
        ...control.told.map(({ trigger_page_fault: pages }) => pages?.pgoffs.length ?? 0),
      );
      check(longest <= MAX_PGOFFS, `A TRIGGER_PAGE_FAULT named ${longest} pages`);
      checkSame('the last command', control.told.at(-1)?.command ?? '', 'quit');
      const { stats } = await set.get();
      checkSame('touched_pages', stats?.touched_pages ?? '', '9253');
      const requests = control.told.filter(({ command }) => command === 'trigger_page_fault').length;
      checkSame('touch_requests', stats?.touch_requests ?? '', String(requests));
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/touch/flag-0',
    title:
      'With flag 0 nothing is touched, and PAGE_FAULTED, which answers nothing, ends the stream with a status; the set goes on',
    from: FLAGS,
    async run(context) {
      const set = await context.set({ placement: 'PLACEMENT_CACHE' });
      const { background } = await set.armed();
      await background[0]?.pages('ram0', [0, 1, 2, 3]);
      await set.touch('ram0', 3);
      set.control.send({ page_faulted: { block_id: 'ram0', pgoffs: [1] } });
      const { code, details } = await set.control.ended;
      check(
        [Status.FAILED_PRECONDITION, Status.INVALID_ARGUMENT].includes(code),
        `Control ended with ${Status[code]} "${details}"`,
      );
      checkSame('pages named', set.control.triggered.length, 0);
      const again = set.attach();
      await again.ready('UMEM_STATE_ARMED');
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      checkSame('pages named', again.triggered.length, 0);
      const { stats } = await set.get();
      checkSame('touch_requests', stats?.touch_requests ?? '', '0');
      checkSame('touched_pages', stats?.touched_pages ?? '', '0');
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/touch/unmapped',
    title:
      'PAGE_UNMAPPED is an answer to TRIGGER_PAGE_FAULT, too: however often it comes, pages that are placed later are named, and QUIT follows',
    from: 'umemd.proto, VmmCommand.page_unmapped',
    async run(context) {
      // More requests of the full length than a page server would leave unanswered.
      const rounds = 6;
      const set = await context.set({ ...TOUCHING, sizes: { ram0: rounds * MAX_PGOFFS } });
      const { background } = await set.armed();
      const { control } = set;
      answerTouches(control, (pages) => ({ page_unmapped: pages }));
      for (let round = 0; round < rounds; round++) {
        const first = round * MAX_PGOFFS;
        const run = { page_count: MAX_PGOFFS, encoding: 'PAGE_ENCODING_FILL', fill_value: round };
        await background[0]?.batch({ block_id: 'ram0', runs: [{ ...run, pgoff: first }] });
        const last = pageKey('ram0', first + MAX_PGOFFS - 1);
        await control.hear(
          `TRIGGER_PAGE_FAULT of ${last}`,
          ({ trigger_page_fault: pages }) => pages?.pgoffs.includes(first + MAX_PGOFFS - 1) === true,
        );
      }
      await set.release();
      checkSame('pages named', control.triggered.length, rounds * MAX_PGOFFS);
      checkSame('touched_pages', (await set.get()).stats?.touched_pages ?? '', '0');
    },
  },
  {
    id: 'umemd/touch/mixed',
    title: 'Of one TRIGGER_PAGE_FAULT some pages may be PAGE_FAULTED and the others PAGE_UNMAPPED',
    from: 'umemd.proto, VmmCommand.page_faulted and page_unmapped',
    async run(context) {
      const set = await context.set(TOUCHING);
      const { background } = await set.armed();
      const { control } = set;
      let faulted = 0;
      control.onCommand = ({ trigger_page_fault: pages }) => {
        if (!pages) return;
        const odd = pages.pgoffs.filter((pgoff) => pgoff % 2 === 1);
        const even = pages.pgoffs.filter((pgoff) => pgoff % 2 === 0);
        faulted += odd.length;
        if (odd.length > 0) control.send({ page_faulted: { ...pages, pgoffs: odd } });
        if (even.length > 0) control.send({ page_unmapped: { ...pages, pgoffs: even } });
      };
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      checkSame('pages that were faulted', faulted, 256 + 126);
      checkSame('touched_pages', (await set.get()).stats?.touched_pages ?? '', String(faulted));
    },
  },
  {
    id: 'umemd/touch/wrong',
    title:
      'PAGE_FAULTED of pages that are not there, or that nobody asked to touch, ends the stream with a status; the set goes on',
    from: 'umemd.proto, VmmCommand.page_faulted and ControlPages',
    async run(context) {
      const wrong: readonly [object, readonly Status[]][] = [
        [{ block_id: 'no-such-block', pgoffs: [1] }, [Status.NOT_FOUND, Status.INVALID_ARGUMENT]],
        [{ block_id: 'ram0', pgoffs: [3, 512] }, [Status.OUT_OF_RANGE]],
        [{ block_id: 'ram0', pgoffs: [] }, [Status.INVALID_ARGUMENT]],
        [{ block_id: 'ram0', pgoffs: new Array<number>(4064).fill(3) }, [Status.INVALID_ARGUMENT]],
        [{ block_id: 'ram0', pgoffs: [3, 5] }, [Status.INVALID_ARGUMENT, Status.FAILED_PRECONDITION]],
      ];
      for (const [pages, codes] of wrong) {
        const set = await context.set(TOUCHING);
        await set.armed();
        await set.touch('ram0', 3);
        await set.control.hear('TRIGGER_PAGE_FAULT', ({ command }) => command === 'trigger_page_fault');
        set.control.send({ page_faulted: pages });
        const { code, details } = await set.control.ended;
        check(codes.includes(code), `${JSON.stringify(pages).slice(0, 60)}: ${Status[code]} "${details}"`);
        await set.touch('ram0', 5);
        checkSame('touched_pages', (await set.get()).stats?.touched_pages ?? '', '0');
      }
    },
  },
  {
    id: 'umemd/touch/silent',
    title: 'A VMM side that answers no TRIGGER_PAGE_FAULT holds up neither pages nor QUIT',
    from: TRIGGER,
    async run(context) {
      const set = await context.set(TOUCHING);
      const { background } = await set.armed();
      await set.touch('ram1', 4);
      await set.control.hear('TRIGGER_PAGE_FAULT', ({ command }) => command === 'trigger_page_fault');
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/touch/new-stream',
    title: 'A VMM side that comes back is asked to touch what is placed from then on',
    from: `${TRIGGER}; Umemd.Control: waits for the VMM side to come back`,
    async run(context) {
      const set = await context.set(TOUCHING);
      const { background } = await set.armed();
      // As many unanswered requests as it takes, so that the new stream has a fresh start.
      for (let pgoff = 0; pgoff < 200; pgoff += 20) await background[0]?.pages('ram0', [pgoff]);
      await set.control.hear('TRIGGER_PAGE_FAULT', ({ command }) => command === 'trigger_page_fault');
      set.control.hangUp();
      await set.control.ended;
      const again = set.attach();
      answerTouches(again, (pages) => ({ page_faulted: pages }));
      await again.ready('UMEM_STATE_ARMED');
      await background[0]?.pages('ram0', [301]);
      await again.hear('TRIGGER_PAGE_FAULT', () => again.triggered.includes('ram0:301'));
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await set.checkMemory();
    },
  },
];
