import type { PageRange } from '@umem/ram';
import type { FaultedPage } from './newest-fault.js';

/** How far the neighbourhood of a fault reaches in each direction, in pages: 4 MiB. */
export const NEIGHBOURHOOD_PAGES = 1024;

/** How far one direction is followed before it is the other's turn, in pages; further where host pages are larger. */
const STEP_PAGES = 64;

/** Neighbourhoods that are remembered: faults of several guest threads alternate. */
const MAX_PIVOTS = 7;

/** Unsent pages of a block: a look, not a claim. */
export type LookUp = (block: number, from: number, limit: number, maxPages: number) => PageRange | null;

/** A run of pages of one block. */
export interface BlockRange extends PageRange {
  readonly block: number;
}

/** A fault and what has been pushed around it: everything in [low, high). */
interface Pivot {
  readonly block: number;
  /** Pages in a host page. */
  readonly hostPage: number;
  readonly lowest: number;
  readonly highest: number;
  low: number;
  high: number;
  /** Which way the next step goes: forward first, for most programs read forward. */
  forward: boolean;
}

/**
 * In which order missing pages are pushed: from the beginning of each block to its end, except that
 * around the newest faults it moves outward in both directions first, because what a guest touched
 * tells what it will touch. A host page of the destination that was begun is finished before anything
 * else, because the destination can place nothing of it, and must keep it, until it is whole.
 */
export class BackgroundOrder {
  readonly #pageCounts: readonly number[];
  readonly #lookUp: LookUp;
  readonly #hostPages: readonly number[];
  /** The host page that was begun last. */
  #begun: BlockRange | null = null;
  /** Newest last. */
  readonly #pivots: Pivot[] = [];
  #block = 0;
  #pgoff = 0;

  /** `hostPages`: pages in a host page of the destination, for each block; left out: one. */
  constructor(pageCounts: readonly number[], lookUp: LookUp, hostPages: readonly number[] = []) {
    this.#pageCounts = pageCounts;
    this.#lookUp = lookUp;
    this.#hostPages = hostPages;
  }

  /** A page was demanded: its neighbourhood comes next. */
  faulted({ block, pgoff }: FaultedPage): void {
    const known = this.#pivots.findIndex(
      (pivot) => pivot.block === block && pgoff >= pivot.low && pgoff < pivot.high,
    );
    // What lies around it has been pushed: go on from the edges that were reached.
    if (known >= 0) return void this.#pivots.push(...this.#pivots.splice(known, 1));
    const hostPage = this.#hostPageOf(block);
    const start = pgoff - (pgoff % hostPage);
    const reach = Math.max(NEIGHBOURHOOD_PAGES, hostPage);
    this.#pivots.push({
      block,
      hostPage,
      lowest: Math.max(0, start - reach),
      highest: Math.min(this.#pageCounts[block] ?? 0, start + reach),
      low: start,
      high: start,
      forward: true,
    });
    if (this.#pivots.length > MAX_PIVOTS) this.#pivots.shift();
  }

  /** The next run of at most `maxPages` unsent pages to claim; null when none is left. */
  next(maxPages: number): BlockRange | null {
    const next = this.#unfinished(maxPages) ?? this.#nearFault(maxPages) ?? this.#inSequence(maxPages);
    if (next) this.went(next);
    return next;
  }

  /** A run is claimed, as `next` named it or beyond: the host page that it ends in is to be finished. */
  went({ block, pgoff, pageCount }: BlockRange): void {
    const hostPage = this.#hostPageOf(block);
    const last = pgoff + pageCount - 1;
    if (hostPage > 1) this.#begun = { block, pgoff: last - (last % hostPage), pageCount: hostPage };
  }

  #hostPageOf(block: number): number {
    return this.#hostPages[block] ?? 1;
  }

  #unfinished(maxPages: number): BlockRange | null {
    if (!this.#begun) return null;
    const { block, pgoff, pageCount } = this.#begun;
    const limit = Math.min(this.#pageCounts[block] ?? 0, pgoff + pageCount);
    const found = this.#lookUp(block, pgoff, limit, maxPages);
    return found && { block, ...found };
  }

  #nearFault(maxPages: number): BlockRange | null {
    for (let pivot = this.#pivots.at(-1); pivot; pivot = this.#pivots.at(-1)) {
      const { block } = pivot;
      while (pivot.low > pivot.lowest || pivot.high < pivot.highest) {
        const found = pivot.forward ? this.#stepForward(pivot, maxPages) : this.#stepBack(pivot, maxPages);
        if (found) return { block, ...found };
      }
      this.#pivots.pop();
    }
    return null;
  }

  #stepForward(pivot: Pivot, maxPages: number): PageRange | null {
    const limit = Math.min(pivot.highest, pivot.high + stepOf(pivot));
    const found = this.#lookUp(pivot.block, pivot.high, limit, maxPages);
    // The rest of its host page follows without being asked for.
    const end = found ? found.pgoff + found.pageCount : limit;
    pivot.high = Math.min(pivot.highest, end + ((pivot.hostPage - (end % pivot.hostPage)) % pivot.hostPage));
    if (pivot.high >= limit) pivot.forward = pivot.low <= pivot.lowest;
    return found;
  }

  #stepBack(pivot: Pivot, maxPages: number): PageRange | null {
    const from = Math.max(pivot.lowest, pivot.low - stepOf(pivot));
    const found = this.#lookUp(pivot.block, from, pivot.low, maxPages);
    // Once claimed, the run is not found again; what is left of the step is found by looking again.
    const isHostPage = pivot.hostPage >= STEP_PAGES;
    if (!found || isHostPage || found.pgoff + found.pageCount >= pivot.low) {
      pivot.low = from;
      pivot.forward = pivot.high < pivot.highest;
    }
    return found;
  }

  #inSequence(maxPages: number): BlockRange | null {
    for (; this.#block < this.#pageCounts.length; this.#block++, this.#pgoff = 0) {
      const found = this.#lookUp(this.#block, this.#pgoff, this.#pageCounts[this.#block] ?? 0, maxPages);
      if (!found) continue;
      this.#pgoff = found.pgoff + found.pageCount;
      return { block: this.#block, ...found };
    }
    return null;
  }
}

function stepOf({ hostPage }: Pivot): number {
  return Math.max(STEP_PAGES, hostPage);
}
