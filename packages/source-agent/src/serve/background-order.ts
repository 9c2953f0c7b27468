import type { PageRange } from '@umem/ram';
import type { FaultedPage } from './newest-fault.js';

/** How far the neighbourhood of a fault reaches in each direction, in pages: 4 MiB. */
export const NEIGHBOURHOOD_PAGES = 1024;

/** How far one direction is followed before it is the other's turn, in pages. */
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
 * tells what it will touch.
 */
export class BackgroundOrder {
  readonly #pageCounts: readonly number[];
  readonly #lookUp: LookUp;
  /** Newest last. */
  readonly #pivots: Pivot[] = [];
  #block = 0;
  #pgoff = 0;

  constructor(pageCounts: readonly number[], lookUp: LookUp) {
    this.#pageCounts = pageCounts;
    this.#lookUp = lookUp;
  }

  /** A page was demanded: its neighbourhood comes next. */
  faulted({ block, pgoff }: FaultedPage): void {
    const known = this.#pivots.findIndex(
      (pivot) => pivot.block === block && pgoff >= pivot.low && pgoff < pivot.high,
    );
    // What lies around it has been pushed: go on from the edges that were reached.
    if (known >= 0) return void this.#pivots.push(...this.#pivots.splice(known, 1));
    this.#pivots.push({
      block,
      lowest: Math.max(0, pgoff - NEIGHBOURHOOD_PAGES),
      highest: Math.min(this.#pageCounts[block] ?? 0, pgoff + NEIGHBOURHOOD_PAGES),
      low: pgoff,
      high: pgoff,
      forward: true,
    });
    if (this.#pivots.length > MAX_PIVOTS) this.#pivots.shift();
  }

  /** The next run of at most `maxPages` unsent pages to claim; null when none is left. */
  next(maxPages: number): BlockRange | null {
    return this.#nearFault(maxPages) ?? this.#inSequence(maxPages);
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
    const limit = Math.min(pivot.highest, pivot.high + STEP_PAGES);
    const found = this.#lookUp(pivot.block, pivot.high, limit, maxPages);
    pivot.high = found ? found.pgoff + found.pageCount : limit;
    if (pivot.high >= limit) pivot.forward = pivot.low <= pivot.lowest;
    return found;
  }

  #stepBack(pivot: Pivot, maxPages: number): PageRange | null {
    const from = Math.max(pivot.lowest, pivot.low - STEP_PAGES);
    const found = this.#lookUp(pivot.block, from, pivot.low, maxPages);
    // Once claimed, the run is not found again; what is left of the step is found by looking again.
    if (!found || found.pgoff + found.pageCount >= pivot.low) {
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
