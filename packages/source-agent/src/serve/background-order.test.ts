import { PageBitmap } from '@umem/ram';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BackgroundOrder, NEIGHBOURHOOD_PAGES } from './background-order.js';

/** Blocks of which pages are sent as the order says. */
class Sent {
  readonly bitmaps: PageBitmap[];
  readonly order: BackgroundOrder;

  constructor(pageCounts: number[], hostPages?: number[]) {
    this.bitmaps = pageCounts.map((pages) => new PageBitmap(pages));
    this.order = new BackgroundOrder(
      pageCounts,
      (block, from, limit, max) => this.bitmap(block).nextMissing(from, limit, max),
      hostPages,
    );
  }

  bitmap(block: number): PageBitmap {
    const bitmap = this.bitmaps[block];
    if (!bitmap) throw new Error(`no block ${block}`);
    return bitmap;
  }

  /** Sends the next run; `block:first+count`, or null. */
  next(maxPages = 64): string | null {
    const range = this.order.next(maxPages);
    if (!range) return null;
    expect(range.pageCount).toBeGreaterThan(0);
    expect(range.pageCount).toBeLessThanOrEqual(maxPages);
    const added = this.bitmap(range.block).addRange(range);
    expect(added).toEqual([{ pgoff: range.pgoff, pageCount: range.pageCount }]);
    return `${range.block}:${range.pgoff}+${range.pageCount}`;
  }

  take(runs: number): (string | null)[] {
    return Array.from({ length: runs }, () => this.next());
  }
}

test('goes from the beginning of each block to its end', () => {
  const sent = new Sent([100, 70, 1]);
  expect(sent.take(6)).toEqual(['0:0+64', '0:64+36', '1:0+64', '1:64+6', '2:0+1', null]);
});

test('leaves out what was sent already', () => {
  const sent = new Sent([100]);
  sent.bitmap(0).addRange({ pgoff: 10, pageCount: 50 });
  expect(sent.take(3)).toEqual(['0:0+10', '0:60+40', null]);
});

describe('after a fault', () => {
  test('goes outward from it in both directions, then back to where it was', () => {
    const sent = new Sent([100_000]);
    expect(sent.next()).toBe('0:0+64');
    sent.bitmap(0).add(50_000);
    sent.order.faulted({ block: 0, pgoff: 50_000 });
    expect(sent.take(4)).toEqual(['0:50001+63', '0:49936+64', '0:50064+64', '0:49872+64']);
    const rest = sent.take((2 * NEIGHBOURHOOD_PAGES) / 64 - 4);
    expect(new Set(rest).size).toBe(rest.length);
    expect(
      sent.bitmap(0).nextMissing(50_000 - NEIGHBOURHOOD_PAGES, 50_000 + NEIGHBOURHOOD_PAGES, 1),
    ).toBeNull();
    expect(sent.next()).toBe('0:64+64');
  });

  test('stays within its block', () => {
    const sent = new Sent([1000, 100, 1000]);
    sent.order.faulted({ block: 1, pgoff: 99 });
    expect(sent.take(4)).toEqual(['1:99+1', '1:35+64', '1:0+35', '0:0+64']);
  });

  test('the newest fault comes first, and the one before is gone on with afterwards', () => {
    const sent = new Sent([100_000]);
    sent.order.faulted({ block: 0, pgoff: 10_000 });
    expect(sent.next()).toBe('0:10000+64');
    sent.order.faulted({ block: 0, pgoff: 80_000 });
    const second = sent.take((2 * NEIGHBOURHOOD_PAGES) / 64);
    expect(second[0]).toBe('0:80000+64');
    expect(
      second.every(
        (range) => Math.abs(Number(range?.slice(2).split('+')[0]) - 80_000) <= NEIGHBOURHOOD_PAGES,
      ),
    ).toBe(true);
    expect(sent.next()).toBe('0:9936+64');
  });

  test('a fault inside what was pushed around an earlier one goes on from its edges', () => {
    const sent = new Sent([100_000]);
    sent.order.faulted({ block: 0, pgoff: 10_000 });
    sent.take(4);
    sent.order.faulted({ block: 0, pgoff: 50_000 });
    sent.next();
    sent.order.faulted({ block: 0, pgoff: 10_010 });
    expect(sent.next()).toBe('0:10128+64');
  });
});

describe('to a destination with larger host pages', () => {
  test('starts at the host page of a fault and goes outward by whole host pages', () => {
    const sent = new Sent([100_000], [512]);
    sent.order.faulted({ block: 0, pgoff: 51_300 });
    expect(sent.take(8)).toEqual(Array.from({ length: 8 }, (_, i) => `0:${51_200 + 64 * i}+64`));
    expect(sent.take(8)).toEqual(Array.from({ length: 8 }, (_, i) => `0:${50_688 + 64 * i}+64`));
    expect(sent.next()).toBe('0:51712+64');
  });

  test('finishes the host page that it has begun before it follows a new fault', () => {
    const sent = new Sent([100_000], [512]);
    sent.take(3);
    sent.order.faulted({ block: 0, pgoff: 51_200 });
    expect(sent.take(6)).toEqual(['0:192+64', '0:256+64', '0:320+64', '0:384+64', '0:448+64', '0:51200+64']);
  });

  test('finishes a host page that was begun beyond the run that it named', () => {
    const sent = new Sent([100_000], [512]);
    sent.take(8);
    const beyond = { pgoff: 512, pageCount: 448 };
    sent.bitmap(0).addRange(beyond);
    sent.order.went({ block: 0, ...beyond });
    sent.order.faulted({ block: 0, pgoff: 51_200 });
    expect(sent.take(2)).toEqual(['0:960+64', '0:51200+64']);
  });

  test('leaves at most one host page unfinished, whatever faults come', () => {
    const faults = fc.array(fc.tuple(fc.nat(60), fc.nat(1), fc.nat(8191)), { maxLength: 40 });
    fc.assert(
      fc.property(faults, fc.integer({ min: 1, max: 64 }), (pairs, maxPages) => {
        const sent = new Sent([8192, 8192], [512, 16]);
        const unfinished = (): number =>
          [512, 16].reduce((sum, hostPage, block) => {
            const parts = Array.from({ length: 8192 / hostPage }, (_, i) => i * hostPage);
            const missing = (from: number): number => {
              let count = 0;
              for (let page = from; page < from + hostPage; page++) count += +!sent.bitmap(block).has(page);
              return count;
            };
            return sum + parts.map(missing).filter((count) => count > 0 && count < hostPage).length;
          }, 0);
        for (const [runs, block, pgoff] of pairs) {
          for (let i = 0; i < runs; i++) sent.next(maxPages);
          sent.order.faulted({ block, pgoff });
          expect(unfinished()).toBeLessThanOrEqual(1);
        }
        while (sent.next(maxPages));
        expect(sent.bitmaps.map((bitmap) => bitmap.count())).toEqual([8192, 8192]);
      }),
      { numRuns: 30 },
    );
  });
});

test('whatever faults come in between, every page is named exactly once', () => {
  const faults = fc.array(fc.tuple(fc.nat(60), fc.nat(2), fc.nat(4999)), { maxLength: 40 });
  fc.assert(
    fc.property(faults, fc.integer({ min: 1, max: 64 }), (pairs, maxPages) => {
      const sent = new Sent([5000, 300, 4999]);
      const pageCounts = [5000, 300, 4999];
      for (const [runs, block, pgoff] of pairs) {
        for (let i = 0; i < runs; i++) sent.next(maxPages);
        sent.order.faulted({ block, pgoff: pgoff % (pageCounts[block] ?? 1) });
      }
      while (sent.next(maxPages));
      expect(sent.bitmaps.map((bitmap) => bitmap.count())).toEqual(pageCounts);
    }),
    { numRuns: 50 },
  );
});
