import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toRanges, type PageRange } from './page.js';
import { PageBitmap } from './page-bitmap.js';
import type { ClaimJob } from './testing/claim-worker.js';

const pagesOf = (ranges: readonly PageRange[]): number[] =>
  ranges.flatMap(({ pgoff, pageCount }) => Array.from({ length: pageCount }, (_, i) => pgoff + i));

const ascending = (pages: Iterable<number>): number[] => [...pages].sort((a, b) => a - b);

/** A number of pages and some ranges inside it. */
const pagesAndRanges = fc.integer({ min: 1, max: 200 }).chain((pageCount) =>
  fc.tuple(
    fc.constant(pageCount),
    fc.array(
      fc
        .tuple(fc.nat(pageCount - 1), fc.nat(pageCount - 1))
        .map(([a, b]) => ({ pgoff: Math.min(a, b), pageCount: Math.abs(a - b) + 1 })),
      { maxLength: 12 },
    ),
  ),
);

describe('against a model', () => {
  test('addRange answers with exactly the new pages, ascending and joined', () => {
    fc.assert(
      fc.property(pagesAndRanges, ([pageCount, ranges]) => {
        const bitmap = new PageBitmap(pageCount);
        const model = new Set<number>();
        for (const range of ranges) {
          const fresh = pagesOf([range]).filter((page) => !model.has(page));
          expect(bitmap.addRange(range)).toEqual(toRanges(fresh));
          for (const page of fresh) model.add(page);
          expect(bitmap.count()).toBe(model.size);
        }
        for (let page = 0; page < pageCount; page++) expect(bitmap.has(page)).toBe(model.has(page));
      }),
    );
  });

  test('add and delete say whether they changed anything', () => {
    const step = fc.record({ page: fc.nat(99), add: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const bitmap = new PageBitmap(100);
        const model = new Set<number>();
        for (const { page, add } of steps) {
          expect(add ? bitmap.add(page) : bitmap.delete(page)).toBe(model.has(page) !== add);
          if (add) model.add(page);
          else model.delete(page);
        }
        expect(bitmap.count()).toBe(model.size);
      }),
    );
  });

  test('nextMissing finds the first missing run and never looks past its limits', () => {
    fc.assert(
      fc.property(
        pagesAndRanges,
        fc.nat(200),
        fc.nat(200),
        fc.integer({ min: 1, max: 70 }),
        ([pageCount, ranges], a, b, maxPages) => {
          const bitmap = new PageBitmap(pageCount);
          for (const range of ranges) bitmap.addRange(range);
          const [from = 0, limit = 0] = ascending([a % (pageCount + 1), b % (pageCount + 1)]);
          const missing: number[] = [];
          for (let page = from; page < limit; page++) if (!bitmap.has(page)) missing.push(page);
          const first = toRanges(missing)[0];
          const expected = first ? { ...first, pageCount: Math.min(first.pageCount, maxPages) } : null;
          expect(bitmap.nextMissing(from, limit, maxPages)).toEqual(expected);
        },
      ),
    );
  });

  test('claiming run by run reaches every page once', () => {
    fc.assert(
      fc.property(pagesAndRanges, fc.integer({ min: 1, max: 64 }), ([pageCount, ranges], maxPages) => {
        const bitmap = new PageBitmap(pageCount);
        const before = new Set(pagesOf(ranges.flatMap((range) => bitmap.addRange(range))));
        const won: number[] = [];
        for (
          let run = bitmap.nextMissing(0, pageCount, maxPages);
          run;
          run = bitmap.nextMissing(0, pageCount, maxPages)
        )
          won.push(...pagesOf(bitmap.addRange(run)));
        expect(ascending([...won, ...before])).toEqual(Array.from({ length: pageCount }, (_, i) => i));
      }),
    );
  });

  test('the bytes of a bitmap are bit per page, lowest first, and give the same bitmap again', () => {
    fc.assert(
      fc.property(pagesAndRanges, ([pageCount, ranges]) => {
        const bitmap = new PageBitmap(pageCount);
        for (const range of ranges) bitmap.addRange(range);
        const bytes = bitmap.toBytes();
        expect(bytes).toHaveLength(Math.ceil(pageCount / 8));
        for (let page = 0; page < pageCount; page++)
          expect(((bytes[page >> 3] ?? 0) >> (page & 7)) & 1).toBe(bitmap.has(page) ? 1 : 0);
        expect(PageBitmap.fromBytes(pageCount, bytes).toBytes()).toEqual(bytes);
      }),
    );
  });
});

test('bytes of another length, or with bits past the end, are refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 20 }), (pageCount, length) => {
      fc.pre(length !== Math.ceil(pageCount / 8));
      expect(() => PageBitmap.fromBytes(pageCount, new Uint8Array(length))).toThrow(RangeError);
    }),
  );
  for (let pageCount = 1; pageCount < 64; pageCount++) {
    const bytes = new Uint8Array(Math.ceil(pageCount / 8)).fill(0xff);
    if (pageCount % 8 === 0) expect(PageBitmap.fromBytes(pageCount, bytes).count()).toBe(pageCount);
    else expect(() => PageBitmap.fromBytes(pageCount, bytes)).toThrow(`past its ${pageCount} pages`);
  }
});

test('bytes are a copy: what is sent does not change any more', () => {
  const bitmap = new PageBitmap(8);
  const bytes = bitmap.toBytes();
  bitmap.add(0);
  expect(bytes).toEqual(new Uint8Array([0]));
});

test('a buffer made for another number of pages is refused', () => {
  expect(() => new PageBitmap(64, new PageBitmap(65).buffer)).toThrow('64 pages does not fit 12 bytes');
});

test('a page past the last word is an error, not a silent miss', () => {
  const bitmap = new PageBitmap(32);
  expect(() => bitmap.add(32)).toThrow(RangeError);
  expect(() => bitmap.has(32)).toThrow(RangeError);
});

test('pages beyond 2^31 are found in a block of 8 TiB', () => {
  const pageCount = 2 ** 31 + 100;
  const bitmap = new PageBitmap(pageCount);
  const from = 2 ** 31 + 5;
  expect(bitmap.addRange({ pgoff: from, pageCount: 40 })).toEqual([{ pgoff: from, pageCount: 40 }]);
  expect(bitmap.nextMissing(from, pageCount, 64)).toEqual({ pgoff: from + 40, pageCount: 55 });
  expect(bitmap.has(from + 39)).toBe(true);
  expect(bitmap.delete(from)).toBe(true);
  expect(bitmap.nextMissing(from, pageCount, 64)).toEqual({ pgoff: from, pageCount: 1 });
});

test('of several threads that claim at once exactly one wins each page', async () => {
  const pageCount = 20_011;
  const bitmap = new PageBitmap(pageCount);
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const workers = [3, 64, 64, 7].map((runPages) => {
    const workerData: ClaimJob = { pageCount, buffer: bitmap.buffer, gate, runPages };
    return new Worker(new URL('../dist/testing/claim-worker.js', import.meta.url), { workerData });
  });
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const results = workers.map((worker) => once(worker, 'message'));
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  const won = (await Promise.all(results)).flatMap(([ranges]) => pagesOf(ranges as PageRange[]));
  expect(won).toHaveLength(pageCount);
  expect(new Set(won).size).toBe(pageCount);
  expect(bitmap.count()).toBe(pageCount);
});

test('tells whether all or any pages of a range are in the set', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat({ max: 199 })),
      fc.nat({ max: 199 }),
      fc.integer({ min: 1, max: 80 }),
      (pages, pgoff, length) => {
        const bitmap = new PageBitmap(200);
        for (const page of pages) bitmap.add(page);
        const pageCount = Math.min(length, 200 - pgoff);
        const inRange = pages.filter((page) => page >= pgoff && page < pgoff + pageCount).length;
        expect(bitmap.hasAll({ pgoff, pageCount })).toBe(inRange === pageCount);
        expect(bitmap.hasAny({ pgoff, pageCount })).toBe(inRange > 0);
      },
    ),
  );
});

test('finds the pages that are in one set and not in another', () => {
  const pages = fc.uniqueArray(fc.nat({ max: 149 }));
  fc.assert(
    fc.property(
      pages,
      pages,
      fc.nat({ max: 149 }),
      fc.integer({ min: 1, max: 40 }),
      (ours, others, from, max) => {
        const [one, other] = [new PageBitmap(150), new PageBitmap(150)];
        for (const page of ours) one.add(page);
        for (const page of others) other.add(page);
        const found: number[] = [];
        for (let at = from; ;) {
          const range = one.nextNotIn(other, at, 150, max);
          if (!range) break;
          expect(range.pageCount).toBeLessThanOrEqual(max);
          found.push(...pagesOf([range]));
          at = range.pgoff + range.pageCount;
        }
        expect(found).toEqual(ascending(ours.filter((page) => page >= from && !others.includes(page))));
      },
    ),
  );
});
