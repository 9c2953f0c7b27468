import type { SourceBlock } from '../ram/source-ram.js';

/** Pages of one block that wait, in the order wanted. */
export interface WaitingPages {
  readonly block: SourceBlock;
  readonly pgoffs: readonly number[];
}

/** Page requests of one lane that have not been answered, first in first out. */
export class PageQueue {
  readonly #waiting: WaitingPages[] = [];
  /** Pages of the first entry that were taken. */
  #taken = 0;
  #length = 0;

  /** Pages that wait. */
  get length(): number {
    return this.#length;
  }

  add(pages: WaitingPages): void {
    this.#waiting.push(pages);
    this.#length += pages.pgoffs.length;
  }

  /** The next pages, of one block and at most `maxPages`; null when none wait. */
  take(maxPages: number): WaitingPages | null {
    const first = this.#waiting[0];
    if (!first) return null;
    const pgoffs = first.pgoffs.slice(this.#taken, this.#taken + maxPages);
    this.#taken += pgoffs.length;
    this.#length -= pgoffs.length;
    if (this.#taken >= first.pgoffs.length) {
      this.#waiting.shift();
      this.#taken = 0;
    }
    return { block: first.block, pgoffs };
  }
}
