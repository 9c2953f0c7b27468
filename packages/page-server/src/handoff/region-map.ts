import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';

/** A part of a RAM block in the VMM's address space; plain data, can be posted to a worker. */
export interface Region {
  readonly blockId: string;
  /** First page of the part, in target pages. */
  readonly pgoff: number;
  readonly pageCount: number;
  /** Where that page is in the VMM. */
  readonly hostAddress: bigint;
  /** Which of the set's userfaultfds it is registered with. */
  readonly uffd: number;
}

/** A run of pages that lie side by side in one region. */
export interface Placement extends PageRange {
  readonly uffd: number;
  readonly hostAddress: bigint;
}

const PAGE = BigInt(TARGET_PAGE_SIZE);

/** Host address ↔ (block, pgoff), for all regions of one VMM. */
export class RegionMap {
  /** Ascending by pgoff. */
  readonly #byBlock = new Map<string, Region[]>();
  readonly #all: Region[] = [];

  constructor(regions: readonly Region[] = []) {
    for (const region of regions) this.add(region);
  }

  get regions(): readonly Region[] {
    return this.#all;
  }

  /** What `region` overlaps with, in memory or in its block, as a clause; null when nothing. */
  findOverlap(region: Region): string | null {
    const end = endAddress(region);
    for (const other of this.#all) {
      if (region.hostAddress < endAddress(other) && other.hostAddress < end)
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

  /** Pages of a block that have a host address. */
  coveredPages(blockId: string): number {
    return (this.#byBlock.get(blockId) ?? []).reduce((sum, region) => sum + region.pageCount, 0);
  }

  /** The page at a host address that a userfaultfd reported; null when it is no page of ours. */
  toPage(uffd: number, address: bigint): { blockId: string; pgoff: number } | null {
    for (const region of this.#all) {
      if (region.uffd !== uffd || address < region.hostAddress || address >= endAddress(region)) continue;
      return { blockId: region.blockId, pgoff: region.pgoff + Number((address - region.hostAddress) / PAGE) };
    }
    return null;
  }

  /** The pages in host addresses [start, end) that a userfaultfd reported; parts of other mappings are left out. */
  toRanges(uffd: number, start: bigint, end: bigint): { blockId: string; range: PageRange }[] {
    const found: { blockId: string; range: PageRange }[] = [];
    for (const region of this.#all) {
      if (region.uffd !== uffd) continue;
      const from = start > region.hostAddress ? start : region.hostAddress;
      const to = end < endAddress(region) ? end : endAddress(region);
      if (from >= to) continue;
      const first = Number((from - region.hostAddress) / PAGE);
      const last = Number((to - region.hostAddress + PAGE - 1n) / PAGE);
      found.push({
        blockId: region.blockId,
        range: { pgoff: region.pgoff + first, pageCount: last - first },
      });
    }
    return found;
  }

  /** Where the pages of a range are. Throws RangeError for a page without a host address. */
  placements(blockId: string, { pgoff, pageCount }: PageRange): Placement[] {
    const placements: Placement[] = [];
    const end = pgoff + pageCount;
    let at = pgoff;
    for (const region of this.#byBlock.get(blockId) ?? []) {
      if (at >= end || at < region.pgoff) break;
      const regionEnd = region.pgoff + region.pageCount;
      if (at >= regionEnd) continue;
      const to = Math.min(end, regionEnd);
      const hostAddress = region.hostAddress + BigInt(at - region.pgoff) * PAGE;
      placements.push({ uffd: region.uffd, hostAddress, pgoff: at, pageCount: to - at });
      at = to;
    }
    if (at < end) throw new RangeError(`Page ${at} of block "${blockId}" has no host address`);
    return placements;
  }
}

function endAddress(region: Region): bigint {
  return region.hostAddress + BigInt(region.pageCount) * PAGE;
}
