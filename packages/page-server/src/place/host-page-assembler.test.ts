import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BACKGROUND_SLOTS } from './host-page-staging.js';
import { HostPageAssembler } from './host-page-assembler.js';
import type { PageContent } from './place-pages.js';
import { UmemMemory } from './umem-memory.js';

const PAGE = 4096;
const PER_HOST_PAGE = 4;
const HOST_PAGES = 8;
const PAGES = HOST_PAGES * PER_HOST_PAGE;

function create(hostPages = HOST_PAGES) {
  const hostPageSizeBytes = PER_HOST_PAGE * PAGE;
  const memory = UmemMemory.create([
    { blockId: 'ram0', sizeBytes: hostPages * hostPageSizeBytes, hostPageSizeBytes },
  ]);
  const block = memory.blocks.get('ram0');
  if (!block) throw new Error('No block');
  return { memory, block, assembler: new HostPageAssembler(memory) };
}

/** Every page has its number plus one in all its bytes. */
const data = Buffer.concat(Array.from({ length: PAGES }, (_, page) => Buffer.alloc(PAGE, page + 1)));
function contentAt(pgoff: number): PageContent {
  return { kind: 'raw', data, offset: pgoff * PAGE };
}

const step = fc.record({
  first: fc.nat({ max: PAGES - 1 }),
  count: fc.integer({ min: 1, max: 9 }),
  isRemoval: fc.boolean(),
});

test('each host page becomes whole exactly once, with what arrived and zeros for what was given up before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { block, assembler } = create();
      const expected = new Map<number, number>();
      const wholes: number[] = [];
      let settled = 0;
      let givenUp = 0;
      const place = (whole: readonly number[]): void => {
        for (const hostPage of whole) {
          wholes.push(hostPage);
          const unplaced = assembler.contentOf(block, hostPage);
          for (let i = 0; i < PER_HOST_PAGE; i++) {
            const page = hostPage * PER_HOST_PAGE + i;
            const { content } = unplaced ?? { content: { kind: 'fill', value: 0 } as const };
            const byte = content.kind === 'fill' ? content.value : content.data[content.offset + i * PAGE];
            expect(byte).toBe(expected.get(page));
          }
          settled += assembler.finish(block, hostPage);
        }
      };
      const all = { first: 0, count: PAGES, isRemoval: false };
      for (const { first, count, isRemoval } of [...steps, all]) {
        const range = { pgoff: first, pageCount: Math.min(count, PAGES - first) };
        for (let page = first; page < first + range.pageCount; page++) {
          const isOver = wholes.includes(Math.floor(page / PER_HOST_PAGE));
          if (isRemoval && !isOver) expected.set(page, 0);
          else if (!expected.has(page)) expected.set(page, page + 1);
        }
        if (isRemoval) {
          const { missing, whole } = assembler.giveUp(block, range);
          givenUp += missing.reduce((sum, { pageCount }) => sum + pageCount, 0);
          place(whole);
        } else {
          place(assembler.take(block, range, contentAt).whole);
        }
      }
      expect(wholes.sort((a, b) => a - b)).toEqual(Array.from({ length: HOST_PAGES }, (_, i) => i));
      expect(settled + givenUp).toBe(PAGES);
    }),
  );
});

test('pages for which there is no room are dropped unclaimed, but never those of a demanded host page', () => {
  const { memory, block, assembler } = create(40);
  const first = (hostPage: number) => ({ pgoff: hostPage * PER_HOST_PAGE, pageCount: 1 });
  const noise = (): PageContent => ({ kind: 'fill', value: 7 });
  for (let hostPage = 0; hostPage < BACKGROUND_SLOTS; hostPage++)
    expect(assembler.take(block, first(hostPage), noise)).toMatchObject({ claimed: 1, dropped: 0 });
  expect(assembler.take(block, first(30), noise)).toMatchObject({ claimed: 0, dropped: 1 });
  expect(block.received.has(30 * PER_HOST_PAGE)).toBe(false);
  expect(memory.staging?.demand(30)).toBe(true);
  expect(assembler.take(block, first(30), noise)).toMatchObject({ claimed: 1, dropped: 0 });
  const rest = { pgoff: 1, pageCount: PER_HOST_PAGE - 1 };
  expect(assembler.take(block, rest, noise)).toMatchObject({ claimed: 3, whole: [0] });
  assembler.finish(block, 0);
  expect(assembler.take(block, first(31), noise)).toMatchObject({ claimed: 1, dropped: 0 });
});
