import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';

/** A part of a RAM block in a process's address space; plain data, can be posted to a worker. */
export interface Region {
  readonly blockId: string;
  /** First page of the part, in target pages. */
  readonly pgoff: number;
  readonly pageCount: number;
  /** Where that page is in the process. */
  readonly hostAddress: bigint;
  /** Which userfaultfd it is registered with, as a number in the set. */
  readonly uffd: number;
  /** Bytes of the pages that back it. */
  readonly hostPageSize: number;
}

/** A run of pages that lie side by side in one region. */
export interface Placement extends PageRange {
  readonly uffd: number;
  readonly hostAddress: bigint;
  readonly hostPageSize: number;
}

/** Where pages are, and which are nowhere. */
export interface Placements {
  readonly placements: readonly Placement[];
  readonly unmapped: readonly PageRange[];
}

/** Host address ↔ (block, pgoff), for regions of one address space. */
export class RegionMap {
  readonly #page: bigint;
  /** Ascending by pgoff. */
  readonly #byBlock = new Map<string, Region[]>();
  #all: Region[] = [];

  /** `targetPageSize`: bytes of the pages that pgoffs count. */
  constructor(regions: readonly Region[] = [], targetPageSize: number = TARGET_PAGE_SIZE) {
    this.#page = BigInt(targetPageSize);
    for (const region of regions) this.add(region);
  }

  get regions(): readonly Region[] {
    return this.#all;
  }

  /** What `region` overlaps with, in memory or in its block, as a clause; null when nothing. */
  findOverlap(region: Region): string | null {
    const end = this.#endAddress(region);
    for (const other of this.#all) {
      if (region.hostAddress < this.#endAddress(other) && other.hostAddress < end)
        return `host addresses 0x${region.hostAddress.toString(16)}-0x${end.toString(16)} overlap a region of block "${other.blockId}"`;
      const sameBlock = other.blockId === region.blockId;
      if (
        sameBlock &&
        region.pgoff < other.pgoff + other.pageCount &&
        other.pgoff < region.pgoff + region.pageCount
      )
        return `pages ${region.pgoff} to ${region.pgoff + region.pageCount - 1} of block "${region.blockId}" were handed over before`;
    }
    return null;
  }

  /** Adds a region. Throws RangeError when it overlaps one that is there. */
  add(region: Region): void {
    const overlap = this.findOverlap(region);
    if (overlap) throw new RangeError(`Region overlap: ${overlap}`);
    this.#all.push(region);
    const ofBlock = this.#byBlock.get(region.blockId) ?? [];
    ofBlock.push(region);
    ofBlock.sort((a, b) => a.pgoff - b.pgoff);
    this.#byBlock.set(region.blockId, ofBlock);
  }

  /** Takes host addresses [start, end) of a userfaultfd out; answers with the regions that were there. */
  cut(uffd: number, start: bigint, end: bigint): Region[] {
    const taken: Region[] = [];
    const kept: Region[] = [];
    for (const region of this.#all) {
      const inside = region.uffd === uffd ? this.#overlap(region, start, end) : null;
      if (!inside) {
        kept.push(region);
        continue;
      }
      taken.push(this.#part(region, inside.pgoff, inside.pageCount));
      const after = inside.pgoff + inside.pageCount;
      const before = inside.pgoff - region.pgoff;
      if (before > 0) kept.push(this.#part(region, region.pgoff, before));
      if (after < region.pgoff + region.pageCount)
        kept.push(this.#part(region, after, region.pgoff + region.pageCount - after));
    }
    this.#all = [];
    this.#byBlock.clear();
    for (const region of kept) this.add(region);
    return taken;
  }

  /** The page at a host address that a userfaultfd reported; null when it is no page of ours. */
  toPage(uffd: number, address: bigint): { blockId: string; pgoff: number } | null {
    for (const region of this.#all) {
      if (region.uffd !== uffd || address < region.hostAddress || address >= this.#endAddress(region))
        continue;
      return {
        blockId: region.blockId,
        pgoff: region.pgoff + Number((address - region.hostAddress) / this.#page),
      };
    }
    return null;
  }

  /** The whole pages in host addresses [start, end) that a userfaultfd reported; other mappings are left out. */
  toRanges(uffd: number, start: bigint, end: bigint): { blockId: string; range: PageRange }[] {
    const found: { blockId: string; range: PageRange }[] = [];
    for (const region of this.#all) {
      const range = region.uffd === uffd ? this.#overlap(region, start, end) : null;
      if (range) found.push({ blockId: region.blockId, range });
    }
    return found;
  }

  /** Where the pages of a range are. */
  placements(blockId: string, { pgoff, pageCount }: PageRange): Placements {
    const placements: Placement[] = [];
    const unmapped: PageRange[] = [];
    const end = pgoff + pageCount;
    let at = pgoff;
    for (const region of this.#byBlock.get(blockId) ?? []) {
      const regionEnd = region.pgoff + region.pageCount;
      if (at >= end || region.pgoff >= end) break;
      if (at >= regionEnd) continue;
      if (at < region.pgoff) {
        unmapped.push({ pgoff: at, pageCount: region.pgoff - at });
        at = region.pgoff;
      }
      const to = Math.min(end, regionEnd);
      const { uffd, hostPageSize } = region;
      const hostAddress = region.hostAddress + BigInt(at - region.pgoff) * this.#page;
      placements.push({ uffd, hostPageSize, hostAddress, pgoff: at, pageCount: to - at });
      at = to;
    }
    if (at < end) unmapped.push({ pgoff: at, pageCount: end - at });
    return { placements, unmapped };
  }

  /** The whole pages of a region in [start, end); null when there is none. */
  #overlap(region: Region, start: bigint, end: bigint): PageRange | null {
    const regionEnd = this.#endAddress(region);
    const from = start > region.hostAddress ? start : region.hostAddress;
    const to = end < regionEnd ? end : regionEnd;
    if (from >= to) return null;
    const first = Number((from - region.hostAddress + this.#page - 1n) / this.#page);
    const last = Number((to - region.hostAddress) / this.#page);
    return first < last ? { pgoff: region.pgoff + first, pageCount: last - first } : null;
  }

  #part(region: Region, pgoff: number, pageCount: number): Region {
    const hostAddress = region.hostAddress + BigInt(pgoff - region.pgoff) * this.#page;
    return { ...region, pgoff, pageCount, hostAddress };
  }

  #endAddress(region: Region): bigint {
    return region.hostAddress + BigInt(region.pageCount) * this.#page;
  }
}
