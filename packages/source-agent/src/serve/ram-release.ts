import { pagesIn, TARGET_PAGE_SIZE, type PageRange, type RamBlock } from '@umem/ram';
import type { SentPages } from '../ram/sent-pages.js';

/** Frees pages of one block: whole host pages. */
export type Punch = (block: number, ranges: readonly PageRange[]) => void;

/**
 * Frees source pages as the destination confirms them, a host page when all of it was confirmed.
 * Nothing is freed before `allow`: until the guest runs on the destination the source may have to run
 * again. Lives on the main thread.
 */
export class RamRelease {
  readonly #blocks: readonly RamBlock[];
  readonly #pages: SentPages;
  readonly #punch: Punch;
  /** Confirmed before anything may be freed; null after that. */
  #early: { readonly block: number; readonly range: PageRange }[] | null = [];

  constructor(blocks: readonly RamBlock[], pages: SentPages, punch: Punch) {
    this.#blocks = blocks;
    this.#pages = pages;
    this.#punch = punch;
  }

  /** The destination has these pages in place. */
  placed(block: number, ranges: readonly PageRange[]): void {
    // What is confirmed twice is new only once, so that what waits is bounded by the size of RAM.
    const confirmed = ranges.flatMap((range) => this.#pages.confirm(block, range));
    if (this.#early) this.#early.push(...confirmed.map((range) => ({ block, range })));
    else this.#free(block, confirmed);
  }

  /** The destination needs nothing more: what it has not confirmed one by one is in place, too. */
  placedAll(): void {
    for (const [block, each] of this.#blocks.entries())
      this.placed(block, [{ pgoff: 0, pageCount: pagesIn(each) }]);
  }

  /** The guest runs on the destination: the source never runs again. Idempotent. */
  allow(): void {
    const early = this.#early;
    this.#early = null;
    for (const { block, range } of early ?? []) this.#free(block, [range]);
  }

  #free(block: number, confirmed: readonly PageRange[]): void {
    const whole = confirmed.flatMap((range) => this.#wholeHostPages(block, range));
    if (whole.length > 0) this.#punch(block, whole);
  }

  /** The host pages that a range touches and that are confirmed to their last byte. */
  #wholeHostPages(block: number, range: PageRange): PageRange[] {
    const unit = Math.max(1, (this.#blocks[block]?.hostPageSizeBytes ?? 0) / TARGET_PAGE_SIZE);
    if (unit === 1) return [range];
    const found: PageRange[] = [];
    const end = range.pgoff + range.pageCount;
    for (let pgoff = Math.floor(range.pgoff / unit) * unit; pgoff < end; pgoff += unit) {
      const hostPage = { pgoff, pageCount: unit };
      if (this.#pages.isRangeOver(block, hostPage)) found.push(hostPage);
    }
    return found;
  }
}
