import { PageEncoding, type PageBatch } from '@umem/api';
import { UmemError } from '@umem/errors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UmemMemory } from '../place/umem-memory.js';
import { checkBatch } from './batch-check.js';

const PAGES = 512;
const { blocks } = UmemMemory.create([{ blockId: 'ram0', sizeBytes: PAGES * 4096, hostPageSizeBytes: 4096 }]);

/** Good batches: gaps and runs that ascend. */
const goodBatch = fc
  .array(
    fc.record({
      gap: fc.nat({ max: 9 }),
      pageCount: fc.integer({ min: 1, max: 20 }),
      fill: fc.option(fc.nat({ max: 255 })),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts): PageBatch => {
    let next = 0;
    let raw = 0;
    const runs = parts.map(({ gap, pageCount, fill }) => {
      const pgoff = next + gap;
      next = pgoff + pageCount;
      if (fill === null) raw += pageCount;
      const encoding = fill === null ? PageEncoding.RAW : PageEncoding.FILL;
      return { pgoff, pageCount, encoding, fillValue: fill ?? 0 };
    });
    return { blockId: 'ram0', runs, data: Buffer.alloc(raw * 4096) };
  });

/** Anything at all. */
const anyBatch = fc.record({
  blockId: fc.constantFrom('ram0', 'ram1', ''),
  runs: fc.array(
    fc.record({
      pgoff: fc.oneof(fc.nat({ max: PAGES + 2 }), fc.nat({ max: 0xffff_ffff })),
      pageCount: fc.oneof(fc.nat({ max: 10 }), fc.nat({ max: 0xffff_ffff })),
      encoding: fc.integer({ min: -1, max: 4 }),
      fillValue: fc.nat({ max: 300 }),
    }),
    { maxLength: 5 },
  ),
  data: fc
    .nat({ max: 10 })
    .chain((pages) => fc.constantFrom(Buffer.alloc(pages * 4096), Buffer.alloc(pages * 4096 + 1))),
});

test('a good batch passes, and each RAW run knows where its bytes are', () => {
  fc.assert(
    fc.property(goodBatch, (batch) => {
      const { runs, data } = checkBatch(batch, blocks);
      let offset = 0;
      runs.forEach(({ pgoff, pageCount, fillValue, dataOffset }, i) => {
        expect({ pgoff, pageCount }).toEqual({
          pgoff: batch.runs[i]?.pgoff,
          pageCount: batch.runs[i]?.pageCount,
        });
        if (fillValue !== null) return;
        expect(dataOffset).toBe(offset);
        offset += pageCount * 4096;
      });
      expect(data.length).toBe(offset);
    }),
  );
});

test('whatever a batch says, what passes lies inside its block, ascends and has all its bytes', () => {
  fc.assert(
    fc.property(anyBatch, (batch) => {
      let checked: ReturnType<typeof checkBatch>;
      try {
        checked = checkBatch(batch, blocks);
      } catch (error) {
        expect(error).toBeInstanceOf(UmemError);
        return;
      }
      let next = 0;
      for (const { pgoff, pageCount, fillValue, dataOffset } of checked.runs) {
        expect(pgoff).toBeGreaterThanOrEqual(next);
        next = pgoff + pageCount;
        if (fillValue === null)
          expect(dataOffset + pageCount * 4096).toBeLessThanOrEqual(checked.data.length);
        else expect(fillValue).toBeLessThanOrEqual(255);
      }
      expect(next).toBeLessThanOrEqual(PAGES);
    }),
    { numRuns: 1000 },
  );
});
