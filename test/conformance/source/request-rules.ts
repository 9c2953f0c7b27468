import { status as Status } from '@grpc/grpc-js';
import { check, type Rule } from '../rule.js';
import { FROM_THE_FUTURE, GARBAGE, TRUNCATED, UNSET } from '../wire/bad-messages.js';
import type { ListCommand } from '../wire/messages.js';
import { MAX_PGOFFS } from '../wire/read-batch.js';
import { pageKey } from './lane.js';
import { checkEnds, type SourceContext } from './source-context.js';

const { INTERNAL, INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE } = Status;
const SERVE = 'page_source.proto, PageSource.Serve';

/** A block and pages of it that only the bad message names. */
interface Place {
  readonly block: string;
  readonly pages: number;
}

interface BadRequest {
  readonly id: string;
  readonly title: string;
  /** What is sent after INIT; the last message is the bad one. */
  readonly messages: (place: Place) => readonly (object | Buffer)[];
  readonly codes: readonly Status[];
  readonly words?: (place: Place) => readonly string[];
}

/** Good pages in a bad message. */
const GOOD = [21, 22];
/** Asked for before the bad message, in a good one. */
const BEFORE = 11;

function listOf(command: ListCommand, blockId: string, pgoffs: readonly number[]): object {
  return { [command]: { block_id: blockId, pgoffs } };
}

/** Ranges as [first page, pages]. */
function placed(blockId: string, ranges: readonly (readonly [number, number])[]): object {
  return {
    placed: { block_id: blockId, ranges: ranges.map(([pgoff, count]) => ({ pgoff, page_count: count })) },
  };
}

function repeat(pgoff: number, count: number): number[] {
  return new Array<number>(count).fill(pgoff);
}

const LISTS: readonly ListCommand[] = ['on_demand', 'background', 'remove'];

const BAD_REQUESTS: readonly BadRequest[] = [
  { id: 'unset', title: 'A request without a command', messages: () => [UNSET], codes: [INVALID_ARGUMENT] },
  {
    id: 'unknown',
    title: 'A command of the future',
    messages: () => [FROM_THE_FUTURE],
    codes: [INVALID_ARGUMENT],
  },
  {
    id: 'garbage',
    title: 'Bytes that are no message',
    messages: () => [GARBAGE],
    codes: [INVALID_ARGUMENT, INTERNAL],
  },
  {
    id: 'truncated',
    title: 'A message that is cut short',
    messages: () => [TRUNCATED],
    codes: [INVALID_ARGUMENT, INTERNAL],
  },
  ...LISTS.flatMap((command): BadRequest[] => [
    {
      id: `${command}-unknown-block`,
      title: `${command.toUpperCase()} of an unknown block`,
      messages: () => [listOf(command, 'no-such-block', GOOD)],
      codes: [NOT_FOUND],
      words: () => ['no-such-block'],
    },
    {
      id: `${command}-past-end`,
      title: `${command.toUpperCase()} of good pages and the first one past the end`,
      messages: ({ block, pages }) => [listOf(command, block, [...GOOD, pages])],
      codes: [OUT_OF_RANGE],
      words: ({ block, pages }) => [block, String(pages)],
    },
    {
      id: `${command}-far-past-end`,
      title: `${command.toUpperCase()} of page 4294967295 and good pages`,
      messages: ({ block }) => [listOf(command, block, [2 ** 32 - 1, ...GOOD])],
      codes: [OUT_OF_RANGE],
    },
    {
      id: `${command}-empty`,
      title: `${command.toUpperCase()} of no page`,
      messages: ({ block }) => [listOf(command, block, [])],
      codes: [INVALID_ARGUMENT],
    },
    {
      id: `${command}-4064`,
      title: `${command.toUpperCase()} of 4064 pages`,
      messages: ({ block }) => [listOf(command, block, [...GOOD, ...repeat(GOOD[0] ?? 0, MAX_PGOFFS - 1)])],
      codes: [INVALID_ARGUMENT],
      words: () => [String(MAX_PGOFFS)],
    },
  ]),
  {
    id: 'placed-unknown-block',
    title: 'PLACED of an unknown block',
    messages: () => [placed('no-such-block', [[GOOD[0] ?? 0, 2]])],
    codes: [NOT_FOUND],
    words: () => ['no-such-block'],
  },
  {
    id: 'placed-past-end',
    title: 'PLACED of good pages and of a range that ends past its block',
    messages: ({ block, pages }) => [
      placed(block, [
        [GOOD[0] ?? 0, 2],
        [pages - 1, 2],
      ]),
    ],
    codes: [OUT_OF_RANGE],
    words: ({ block, pages }) => [block, String(pages)],
  },
  {
    id: 'placed-far-past-end',
    title: 'PLACED of 4294967295 pages from page 4294967295, and of good pages',
    messages: ({ block }) => [
      placed(block, [
        [2 ** 32 - 1, 2 ** 32 - 1],
        [GOOD[0] ?? 0, 2],
      ]),
    ],
    codes: [OUT_OF_RANGE],
  },
  {
    id: 'placed-empty',
    title: 'PLACED of no range',
    messages: ({ block }) => [placed(block, [])],
    codes: [INVALID_ARGUMENT],
  },
  {
    id: 'placed-no-pages',
    title: 'PLACED of a range of no page',
    messages: ({ block }) => [
      placed(block, [
        [GOOD[0] ?? 0, 2],
        [31, 0],
      ]),
    ],
    codes: [INVALID_ARGUMENT],
  },
  {
    id: 'placed-4064',
    title: 'PLACED of 4064 ranges',
    messages: ({ block }) => [
      placed(block, new Array<[number, number]>(MAX_PGOFFS + 1).fill([GOOD[0] ?? 0, 1])),
    ],
    codes: [INVALID_ARGUMENT],
    words: () => [String(MAX_PGOFFS)],
  },
  ...(['on_demand', 'background'] as const).flatMap((command): BadRequest[] => {
    const cont = `${command}_cont`;
    const other = command === 'on_demand' ? 'background' : 'on_demand';
    const name = cont.toUpperCase();
    return [
      {
        id: `${cont}-first`,
        title: `${name} right after INIT`,
        messages: () => [{ [cont]: { pgoffs: GOOD } }],
        codes: [INVALID_ARGUMENT],
      },
      {
        id: `${cont}-after-${other}`,
        title: `${name} after ${other.toUpperCase()}`,
        messages: ({ block }) => [listOf(other, block, [BEFORE]), { [cont]: { pgoffs: GOOD } }],
        codes: [INVALID_ARGUMENT],
      },
      {
        id: `${cont}-after-remove`,
        title: `${name} after REMOVE`,
        messages: ({ block }) => [
          listOf(command, block, [BEFORE]),
          listOf('remove', block, [31]),
          { [cont]: { pgoffs: GOOD } },
        ],
        codes: [INVALID_ARGUMENT],
      },
      {
        id: `${cont}-after-placed`,
        title: `${name} after PLACED`,
        messages: ({ block }) => [
          listOf(command, block, [BEFORE]),
          placed(block, [[31, 1]]),
          { [cont]: { pgoffs: GOOD } },
        ],
        codes: [INVALID_ARGUMENT],
      },
      {
        id: `${cont}-empty`,
        title: `${name} of no page`,
        messages: ({ block }) => [listOf(command, block, [BEFORE]), { [cont]: { pgoffs: [] } }],
        codes: [INVALID_ARGUMENT],
      },
      {
        id: `${cont}-4064`,
        title: `${name} of 4064 pages`,
        messages: ({ block }) => [
          listOf(command, block, [BEFORE]),
          { [cont]: { pgoffs: [...GOOD, ...repeat(GOOD[0] ?? 0, MAX_PGOFFS - 1)] } },
        ],
        codes: [INVALID_ARGUMENT],
      },
      {
        id: `${cont}-past-end`,
        title: `${name} past the end of the block that it continues`,
        messages: ({ block, pages }) => [
          listOf(command, block, [BEFORE]),
          { [cont]: { pgoffs: [...GOOD, pages] } },
        ],
        codes: [OUT_OF_RANGE],
      },
    ];
  }),
];

export const requestRules: readonly Rule<SourceContext>[] = BAD_REQUESTS.map(
  ({ id, title, messages, codes, words }): Rule<SourceContext> => ({
    id: `source/request/${id.replaceAll('_', '-')}`,
    title: `${title} ends its lane with ${codes.map((code) => Status[code]).join(' or ')}: none of it counts, no other lane notices`,
    from: SERVE,
    async run(context) {
      const peer = await context.peer();
      const block = await context.largestBlock();
      const place = { block: block.id, pages: block.pages };
      const lane = await peer.open('demand');
      for (const message of messages(place)) lane.send(message);
      await checkEnds(lane, codes, words?.(place));
      const served = GOOD.filter((pgoff) => lane.pages.has(pageKey(block.id, pgoff)));
      check(served.length === 0, `Pages ${served.join(' and ')} of the bad message were served`);
      await context.checkUndisturbed();
      // The same page server comes back, and what a bad REMOVE named was not removed.
      peer.generation++;
      const next = await peer.open('demand');
      await next.pull(block.id, GOOD);
      await context.checkPages(next, block.id, GOOD);
    },
  }),
);
