import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RegionMap, type Region } from './region-map.js';

/** Blocks cut into regions at random, at random host addresses that do not overlap. */
const regions = fc
  .array(
    fc.record({
      blockId: fc.constantFrom('ram0', 'ram1', 'ram2'),
      pageCount: fc.integer({ min: 1, max: 50 }),
      gap: fc.integer({ min: 0, max: 5 }),
      uffd: fc.integer({ min: 0, max: 3 }),
    }),
    { minLength: 1, maxLength: 20 },
  )
  .map((parts) => {
    const next = new Map<string, number>();
    let address = 0x7f00_0000_0000n;
    return parts.map(({ blockId, pageCount, gap, uffd }): Region => {
      const pgoff = next.get(blockId) ?? 0;
      next.set(blockId, pgoff + pageCount);
      address += BigInt(gap) * 4096n;
      const hostAddress = address;
      address += BigInt(pageCount) * 4096n;
      return { blockId, pgoff, pageCount, hostAddress, uffd, hostPageSize: 4096 };
    });
  });

describe('a region map', () => {
  test('takes every page to its host address and back, in whatever order regions came', () => {
    fc.assert(
      fc.property(regions, fc.integer(), (parts, seed) => {
        const map = new RegionMap(
          [...parts].sort((a, b) => ((a.pgoff * 7 + seed) % 5) - ((b.pgoff * 3 + seed) % 5)),
        );
        for (const { blockId, pgoff, pageCount, uffd } of parts)
          for (let page = pgoff; page < pgoff + pageCount; page++) {
            const [placement] = map.placements(blockId, { pgoff: page, pageCount: 1 }).placements;
            expect(placement).toMatchObject({ uffd, pgoff: page, pageCount: 1 });
            expect(map.toPage(uffd, placement?.hostAddress ?? 0n)).toEqual({ blockId, pgoff: page });
          }
      }),
    );
  });

  test('splits a range into placements that cover it exactly once, in order', () => {
    fc.assert(
      fc.property(regions, fc.nat(), fc.nat(), (parts, a, b) => {
        const map = new RegionMap(parts);
        const pages = parts
          .filter(({ blockId }) => blockId === 'ram0')
          .reduce((sum, { pageCount }) => sum + pageCount, 0);
        fc.pre(pages > 0);
        const pgoff = a % pages;
        const pageCount = 1 + (b % (pages - pgoff));
        let next = pgoff;
        for (const placement of map.placements('ram0', { pgoff, pageCount }).placements) {
          expect(placement.pgoff).toBe(next);
          next += placement.pageCount;
        }
        expect(next).toBe(pgoff + pageCount);
      }),
    );
  });

  test('finds the pages of a discarded range of host addresses, and only those', () => {
    const map = new RegionMap([
      { blockId: 'ram0', pgoff: 0, pageCount: 10, hostAddress: 0x10_0000n, uffd: 0, hostPageSize: 4096 },
      { blockId: 'ram1', pgoff: 5, pageCount: 10, hostAddress: 0x10_a000n, uffd: 0, hostPageSize: 4096 },
      { blockId: 'ram2', pgoff: 0, pageCount: 10, hostAddress: 0x20_0000n, uffd: 1, hostPageSize: 4096 },
    ]);
    expect(map.toRanges(0, 0x10_8000n, 0x10_c000n)).toEqual([
      { blockId: 'ram0', range: { pgoff: 8, pageCount: 2 } },
      { blockId: 'ram1', range: { pgoff: 5, pageCount: 2 } },
    ]);
    expect(map.toRanges(1, 0x10_0000n, 0x20_0000n)).toEqual([]);
  });

  test('refuses regions that overlap in memory or in their block', () => {
    const region = {
      blockId: 'ram0',
      pgoff: 0,
      pageCount: 10,
      hostAddress: 0x10_0000n,
      uffd: 0,
      hostPageSize: 4096,
    };
    const map = new RegionMap([region]);
    expect(() => map.add({ ...region, hostAddress: 0x20_0000n, pgoff: 9 })).toThrow(/pages 9 to 18/);
    expect(() => map.add({ ...region, blockId: 'ram1', hostAddress: 0x10_9000n })).toThrow(/overlap/);
    expect(map.regions).toEqual([region]);
  });

  test('says which pages have no host address', () => {
    const map = new RegionMap([
      { blockId: 'ram0', pgoff: 5, pageCount: 5, hostAddress: 0x10_0000n, uffd: 0, hostPageSize: 4096 },
    ]);
    const { placements, unmapped } = map.placements('ram0', { pgoff: 3, pageCount: 9 });
    expect(placements).toMatchObject([{ pgoff: 5, pageCount: 5, hostAddress: 0x10_0000n }]);
    expect(unmapped).toEqual([
      { pgoff: 3, pageCount: 2 },
      { pgoff: 10, pageCount: 2 },
    ]);
    expect(map.placements('ram1', { pgoff: 0, pageCount: 1 }).unmapped).toEqual([{ pgoff: 0, pageCount: 1 }]);
    expect(map.toPage(1, 0x10_0000n)).toBeNull();
    expect(map.toPage(0, 0x10_5000n)).toBeNull();
  });

  test('keeps what is on both sides of what is cut out of it', () => {
    fc.assert(
      fc.property(fc.nat({ max: 29 }), fc.nat({ max: 29 }), (a, b) => {
        const region = { blockId: 'ram0', pgoff: 7, pageCount: 30, uffd: 0, hostPageSize: 4096 };
        const map = new RegionMap([{ ...region, hostAddress: 0x10_0000n }]);
        const [first, last] = a < b ? [a, b] : [b, a];
        const start = 0x10_0000n + BigInt(first * 4096);
        const cut = map.cut(0, start, 0x10_0000n + BigInt((last + 1) * 4096));
        expect(cut).toEqual([
          { ...region, pgoff: 7 + first, pageCount: last - first + 1, hostAddress: start },
        ]);
        for (let page = 0; page < 30; page++) {
          const address = 0x10_0000n + BigInt(page * 4096);
          const expected = page >= first && page <= last ? null : { blockId: 'ram0', pgoff: 7 + page };
          expect(map.toPage(0, address)).toEqual(expected);
        }
      }),
    );
  });

  test('counts in larger target pages, and never rounds up to pages that are there in part', () => {
    const map = new RegionMap(
      [{ blockId: 'ram0', pgoff: 2, pageCount: 4, hostAddress: 0x10_0000n, uffd: 0, hostPageSize: 4096 }],
      65_536,
    );
    expect(map.toPage(0, 0x11_5000n)).toEqual({ blockId: 'ram0', pgoff: 3 });
    expect(map.toRanges(0, 0x10_1000n, 0x13_f000n)).toEqual([
      { blockId: 'ram0', range: { pgoff: 3, pageCount: 2 } },
    ]);
  });
});
