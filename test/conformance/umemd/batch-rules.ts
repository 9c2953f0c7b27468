import { checkSame, type Rule } from '../rule.js';
import { FROM_THE_FUTURE, GARBAGE, TRUNCATED, UNSET } from '../wire/bad-messages.js';
import { fromBits } from '../wire/page-bits.js';
import { PAGE_BYTES } from '../wire/read-batch.js';
import type { UmemdContext } from './umemd-context.js';

/** More than one batch may have, so that no rule is broken by the block's end alone. */
const PAGES = 4400;
const RAW = 'PAGE_ENCODING_RAW';
const FILL = 'PAGE_ENCODING_FILL';

/** Good pages in a bad batch; none of them may be placed. */
const GOOD = { pgoff: 20, page_count: 2, encoding: RAW, fill_value: 0 };
const GOOD_PAGES = [20, 21];

function raw(pgoff: number, count = 1): object {
  return { pgoff, page_count: count, encoding: RAW, fill_value: 0 };
}

function fill(pgoff: number, value: number, count = 1): object {
  return { pgoff, page_count: count, encoding: FILL, fill_value: value };
}

function data(pages: number): Buffer {
  return Buffer.alloc(pages * PAGE_BYTES, 0xee);
}

interface BadReply {
  readonly id: string;
  readonly what: string;
  readonly reply: object | Buffer;
}

function batch(runs: readonly object[], bytes: Buffer, blockId = 'ram0'): object {
  return { pages: { block_id: blockId, runs, data: bytes } };
}

const BAD_REPLIES: readonly BadReply[] = [
  { id: 'unset', what: 'a reply that is neither pages nor EOS', reply: UNSET },
  { id: 'unknown', what: 'a reply of the future', reply: FROM_THE_FUTURE },
  { id: 'garbage', what: 'bytes that are no message', reply: GARBAGE },
  { id: 'truncated', what: 'a message that is cut short', reply: TRUNCATED },
  { id: 'no-runs', what: 'a batch without runs', reply: batch([], Buffer.alloc(0)) },
  { id: 'unknown-block', what: 'pages of an unknown block', reply: batch([GOOD], data(2), 'no-such-block') },
  { id: 'no-block', what: 'pages of no block', reply: batch([GOOD], data(2), '') },
  {
    id: 'past-end',
    what: 'a run past the end of its block',
    reply: batch([GOOD, raw(PAGES - 1, 2)], data(4)),
  },
  { id: 'far-past-end', what: 'a run at page 4294967295', reply: batch([GOOD, raw(2 ** 32 - 1)], data(3)) },
  {
    id: 'long-run',
    what: 'a run of 4294967295 pages',
    reply: batch([GOOD, fill(30, 1, 2 ** 32 - 1)], data(2)),
  },
  { id: 'no-pages', what: 'a run of no page', reply: batch([GOOD, raw(30, 0)], data(2)) },
  { id: 'overlap', what: 'runs that overlap', reply: batch([GOOD, raw(21)], data(3)) },
  { id: 'repeated', what: 'one run twice', reply: batch([GOOD, GOOD], data(4)) },
  { id: 'unordered', what: 'runs in the wrong order', reply: batch([GOOD, raw(10)], data(3)) },
  ...[
    { id: 'unset-encoding', what: 'a run without an encoding', encoding: 0 },
    { id: 'unknown-encoding', what: 'an encoding of the future', encoding: 9 },
  ].flatMap(({ id, what, encoding }): BadReply[] => {
    const run = { pgoff: 30, page_count: 1, encoding, fill_value: 0 };
    return [
      { id, what: `${what}, with data as for RAW,`, reply: batch([GOOD, run], data(3)) },
      { id: `${id}-no-data`, what: `${what}, with data as for FILL,`, reply: batch([GOOD, run], data(2)) },
    ];
  }),
  { id: 'fill-256', what: 'a fill value of 256', reply: batch([GOOD, fill(30, 256)], data(2)) },
  {
    id: 'fill-large',
    what: 'a fill value of 4294967295',
    reply: batch([GOOD, fill(30, 2 ** 32 - 1)], data(2)),
  },
  {
    id: 'raw-with-fill',
    what: 'a fill value in a RAW run',
    reply: batch([GOOD, { ...raw(30), fill_value: 5 }], data(3)),
  },
  { id: 'short-data', what: 'a byte of data too few', reply: batch([GOOD], data(2).subarray(1)) },
  {
    id: 'long-data',
    what: 'a byte of data too many',
    reply: batch([GOOD], Buffer.concat([data(2), Buffer.of(1)])),
  },
  { id: 'no-data', what: 'no data for RAW pages', reply: batch([GOOD], Buffer.alloc(0)) },
  { id: 'data-for-fill', what: 'data for FILL pages', reply: batch([fill(20, 1, 2)], data(2)) },
  { id: '257-raw', what: '257 RAW pages', reply: batch([raw(20, 257)], data(257)) },
  { id: '4064-pages', what: '4064 pages', reply: batch([fill(20, 1, 4064)], Buffer.alloc(0)) },
  {
    id: '4064-in-runs',
    what: '4064 pages in two runs',
    reply: batch([fill(20, 1, 2000), fill(2030, 2, 2064)], Buffer.alloc(0)),
  },
];

export const batchRules: readonly Rule<UmemdContext>[] = (['demand', 'background'] as const).flatMap((kind) =>
  BAD_REPLIES.map(({ id, what, reply }): Rule<UmemdContext> => ({
    id: `umemd/batch/${kind}-${id}`,
    title: `${what} on a ${kind} lane ends it: none of its pages is placed, other sets do not notice, and the set recovers`,
    from: 'page_source.proto, PageBatch and PageRun; DESIGN §3: a bad message',
    async run(context) {
      const set = await context.set({ sizes: { ram0: PAGES } });
      const first = await set.armed();
      const lane = kind === 'demand' ? first.demand : first.background[0];
      await set.touch('ram0', 1);
      await lane?.send(reply);
      await lane?.changes.until('umemd to end the lane', () => lane.isOver || null);
      await context.checkUndisturbed();
      const next = await set.lanesAfter(1);
      await set.checkNotPlaced('ram0', GOOD_PAGES);
      const received = next.demand.init.received.flatMap(({ bits }) => fromBits(bits));
      checkSame('received pages', received.join(' '), '1');
      for (const pgoff of GOOD_PAGES) await set.touch('ram0', pgoff);
    },
  })),
);
