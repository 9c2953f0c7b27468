import { PageBitmap } from '@umem/ram';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SentPages } from './sent-pages.js';

test('each page is claimed once, on whatever thread', () => {
  const here = new SentPages([100, 10]);
  const there = new SentPages([100, 10], here.share);
  expect(here.unsent).toBe(110);
  expect(here.claim(0, { pgoff: 10, pageCount: 10 })).toEqual([{ pgoff: 10, pageCount: 10 }]);
  expect(there.claim(0, { pgoff: 5, pageCount: 20 })).toEqual([
    { pgoff: 5, pageCount: 5 },
    { pgoff: 20, pageCount: 5 },
  ]);
  expect(here.unsent).toBe(90);
  expect(there.nextUnsent(0, 0, 100, 64)).toEqual({ pgoff: 0, pageCount: 5 });
  expect(here.nextUnsent(1, 0, 10, 64)).toEqual({ pgoff: 0, pageCount: 10 });
});

test('removed pages count as sent, once, and stay removed over a new connection', () => {
  const pages = new SentPages([64]);
  pages.claim(0, { pgoff: 0, pageCount: 2 });
  pages.remove(0, 1);
  pages.remove(0, 5);
  pages.remove(0, 5);
  expect(pages.unsent).toBe(61);
  pages.restart([null]);
  expect(pages.isOver(0, 5)).toBe(true);
  expect(pages.isOver(0, 6)).toBe(false);
  expect(pages.unsent).toBe(62);
});

test('a new connection begins with what was received', () => {
  const pages = new SentPages([77, 33]);
  pages.claim(0, { pgoff: 0, pageCount: 77 });
  const received = new PageBitmap(33);
  received.addRange({ pgoff: 30, pageCount: 3 });
  pages.restart([null, received.toBytes()]);
  expect(pages.unsent).toBe(77 + 30);
  expect(pages.nextUnsent(0, 0, 77, 100)).toEqual({ pgoff: 0, pageCount: 77 });
  expect(pages.nextUnsent(1, 0, 33, 100)).toEqual({ pgoff: 0, pageCount: 30 });
});

test('confirmed pages are over, count as sent, and must be among the received of the next connection', () => {
  const pages = new SentPages([77]);
  pages.claim(0, { pgoff: 0, pageCount: 10 });
  expect(pages.confirm(0, { pgoff: 8, pageCount: 4 })).toEqual([{ pgoff: 8, pageCount: 4 }]);
  expect(pages.confirm(0, { pgoff: 10, pageCount: 3 })).toEqual([{ pgoff: 12, pageCount: 1 }]);
  expect(pages.unsent).toBe(77 - 13);
  expect(pages.isOver(0, 9)).toBe(true);
  expect(pages.isRangeOver(0, { pgoff: 8, pageCount: 5 })).toBe(true);
  expect(pages.isRangeOver(0, { pgoff: 7, pageCount: 6 })).toBe(false);
  const received = new PageBitmap(77);
  received.addRange({ pgoff: 0, pageCount: 12 });
  expect(pages.findLost([received.toBytes()])).toEqual({ block: 0, pgoff: 12 });
  expect(pages.findLost([null])).toEqual({ block: 0, pgoff: 8 });
  received.add(12);
  expect(pages.findLost([received.toBytes()])).toBeNull();
});

const PAGES = 40;
const range = fc
  .tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: 12 }))
  .map(([pgoff, pageCount]) => ({ pgoff, pageCount: Math.min(pageCount, PAGES - pgoff) }));
const pagesOf = ({ pgoff, pageCount }: { pgoff: number; pageCount: number }): number[] =>
  Array.from({ length: pageCount }, (_, i) => pgoff + i);
const step = fc.oneof(
  fc.record({ kind: fc.constantFrom('claim' as const, 'confirm' as const), range }),
  fc.record({ kind: fc.constant('remove' as const), range }),
  fc.record({ kind: fc.constant('restart' as const), received: fc.uniqueArray(fc.nat(PAGES - 1)) }),
);

test('claims, removals, confirmations and new connections in any order agree with sets of pages', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const pages = new SentPages([3, PAGES]);
      const other = new SentPages([3, PAGES], pages.share);
      let sent = new Set<number>();
      const removed = new Set<number>();
      const placed = new Set<number>();
      for (const one of steps) {
        if (one.kind === 'restart') {
          const received = new PageBitmap(PAGES);
          for (const pgoff of one.received) received.add(pgoff);
          const lost = [...placed].filter((pgoff) => !received.has(pgoff)).sort((a, b) => a - b);
          expect(pages.findLost([null, received.toBytes()])?.pgoff).toBe(lost[0]);
          pages.restart([null, received.toBytes()]);
          sent = new Set([...one.received, ...removed]);
        } else if (one.kind === 'remove') {
          other.remove(1, one.range.pgoff);
          removed.add(one.range.pgoff);
          sent.add(one.range.pgoff);
        } else {
          const before = one.kind === 'claim' ? sent : placed;
          const news = pages[one.kind](1, one.range).flatMap(pagesOf);
          expect(news).toEqual(pagesOf(one.range).filter((pgoff) => !before.has(pgoff)));
          for (const pgoff of pagesOf(one.range)) {
            before.add(pgoff);
            sent.add(pgoff);
          }
        }
        expect(other.unsent).toBe(3 + PAGES - sent.size);
        const over = Array.from({ length: PAGES }, (_, pgoff) => other.isOver(1, pgoff));
        expect(over).toEqual(over.map((_, pgoff) => removed.has(pgoff) || placed.has(pgoff)));
      }
    }),
  );
});
