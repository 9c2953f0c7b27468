import { PageBitmap, type PageRange } from '@umem/ram';

/** A `SentPages` as it is handed to another thread. */
export interface SentPagesShare {
  readonly unsent: SharedArrayBuffer;
  readonly sent: readonly SharedArrayBuffer[];
  readonly removed: readonly SharedArrayBuffer[];
  readonly placed: readonly SharedArrayBuffer[];
}

/** What one block of a page server's connection begins with. */
export type ReceivedBits = Uint8Array;

/**
 * Which pages one page server has been sent, shared by its lanes on all threads. A page counts as
 * sent when it was claimed, given up by the guest, confirmed, or received before.
 */
export class SentPages {
  readonly #sent: readonly PageBitmap[];
  readonly #removed: readonly PageBitmap[];
  /** Confirmed by the page server: the source may have freed them. */
  readonly #placed: readonly PageBitmap[];
  /** Pages that are not in the sent set; changes after the set does. */
  readonly #unsent: BigInt64Array;

  /** `pageCounts`: target pages of each block. `share`: of another thread's, made for the same blocks. */
  constructor(pageCounts: readonly number[], share?: SentPagesShare) {
    this.#sent = pageCounts.map((pages, i) => new PageBitmap(pages, share?.sent[i]));
    this.#removed = pageCounts.map((pages, i) => new PageBitmap(pages, share?.removed[i]));
    this.#placed = pageCounts.map((pages, i) => new PageBitmap(pages, share?.placed[i]));
    this.#unsent = new BigInt64Array(share?.unsent ?? new SharedArrayBuffer(8));
    if (!share) this.#unsent[0] = BigInt(pageCounts.reduce((sum, pages) => sum + pages, 0));
  }

  get share(): SentPagesShare {
    return {
      unsent: this.#unsent.buffer as SharedArrayBuffer,
      sent: this.#sent.map(({ buffer }) => buffer),
      removed: this.#removed.map(({ buffer }) => buffer),
      placed: this.#placed.map(({ buffer }) => buffer),
    };
  }

  /** Pages that nobody has claimed yet, in all blocks. */
  get unsent(): number {
    return Number(Atomics.load(this.#unsent, 0));
  }

  /** Claims a range: answers with the parts that were not sent before, which the caller now sends. */
  claim(block: number, range: PageRange): PageRange[] {
    const claimed = this.#bitmap(this.#sent, block).addRange(range);
    const pages = claimed.reduce((sum, { pageCount }) => sum + pageCount, 0);
    if (pages > 0) Atomics.sub(this.#unsent, 0, BigInt(pages));
    return claimed;
  }

  /** The guest gave this page up: it is never sent again, not even on demand. */
  remove(block: number, pgoff: number): void {
    this.#bitmap(this.#removed, block).add(pgoff);
    this.claim(block, { pgoff, pageCount: 1 });
  }

  /**
   * The page server has these pages in place, so their contents here may go: they are never sent
   * again, not even on demand (a request can only have crossed the confirmation). Answers with the
   * parts that had not been confirmed.
   */
  confirm(block: number, range: PageRange): PageRange[] {
    const confirmed = this.#bitmap(this.#placed, block).addRange(range);
    this.claim(block, range);
    return confirmed;
  }

  /** Whether the page server needs a page no more, whatever it asks for. */
  isOver(block: number, pgoff: number): boolean {
    return this.#bitmap(this.#removed, block).has(pgoff) || this.#bitmap(this.#placed, block).has(pgoff);
  }

  /** Whether every page of a range was confirmed or given up. */
  isRangeOver(block: number, { pgoff, pageCount }: PageRange): boolean {
    for (let page = pgoff; page < pgoff + pageCount; page++) if (!this.isOver(block, page)) return false;
    return true;
  }

  /**
   * First page that was confirmed and is not among those received: the source may have freed it, so
   * a connection that lacks it cannot be served. Null when there is none.
   */
  findLost(received: readonly (ReceivedBits | null)[]): { block: number; pgoff: number } | null {
    for (const [block, placed] of this.#placed.entries()) {
      const bytes = new Uint8Array(placed.buffer);
      const has = received[block];
      for (let at = 0; at < bytes.length; at++) {
        const lost = (bytes[at] ?? 0) & ~(has?.[at] ?? 0);
        if (lost !== 0) return { block, pgoff: at * 8 + 31 - Math.clz32(lost & -lost) };
      }
    }
    return null;
  }

  /** First run of unsent pages in [from, limit), at most `maxPages` long: a look, not a claim. */
  nextUnsent(block: number, from: number, limit: number, maxPages: number): PageRange | null {
    return this.#bitmap(this.#sent, block).nextMissing(from, limit, maxPages);
  }

  /**
   * Begins a connection anew: sent are exactly the pages that were received or removed, so that what
   * was lost on the way is sent again. Only while the page server has no lane.
   * `received`: one entry per block, checked to fit it; null for none.
   */
  restart(received: readonly (ReceivedBits | null)[]): void {
    let unsent = 0;
    for (const [i, sent] of this.#sent.entries()) {
      const bytes = new Uint8Array(sent.buffer);
      const removed = new Uint8Array(this.#bitmap(this.#removed, i).buffer);
      const has = received[i];
      for (let at = 0; at < bytes.length; at++) bytes[at] = (has?.[at] ?? 0) | (removed[at] ?? 0);
      unsent += sent.pageCount - sent.count();
    }
    Atomics.store(this.#unsent, 0, BigInt(unsent));
  }

  #bitmap(bitmaps: readonly PageBitmap[], block: number): PageBitmap {
    const bitmap = bitmaps[block];
    if (!bitmap) throw new RangeError(`There is no block ${block}: the VM has ${bitmaps.length}`);
    return bitmap;
  }
}
