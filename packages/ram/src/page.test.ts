import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toRanges } from './page.js';

test('ranges hold the same pages in the same order, and neighbours are joined', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(500)), (pages) => {
      const sorted = pages.sort((a, b) => a - b);
      const ranges = toRanges(sorted);
      expect(
        ranges.flatMap(({ pgoff, pageCount }) => Array.from({ length: pageCount }, (_, i) => pgoff + i)),
      ).toEqual(sorted);
      for (const [i, { pgoff }] of ranges.entries()) {
        const before = ranges[i - 1];
        if (before) expect(pgoff).toBeGreaterThan(before.pgoff + before.pageCount);
      }
    }),
  );
});

test.each([[[1, 0]], [[3, 3]], [[0, 1, 2, 1]]])('pages that do not ascend are refused: %j', (pages) => {
  expect(() => toRanges(pages)).toThrow(RangeError);
});
