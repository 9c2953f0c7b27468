import { PageBitmap, type PageRange } from '@umem/ram';

/** A `SentPages` as it is handed to another thread. */
export interface SentPagesShare {
  readonly unsent: SharedArrayBuffer;
  readonly sent: readonly SharedArrayBuffer[];
  readonly removed: readonly SharedArrayBuffer[];
}

/** What one block of a page server's connection begins with. */
export type ReceivedBits = Uint8Array;

/**
 * Which pages one page server has been sent, shared by its lanes on all threads. A page counts as
 * sent when it was claimed, given up by the guest, or received before.
 */
export class SentPages {
  readonly #sent: readonly PageBitmap[];
  readonly #removed: readonly PageBitmap[];
  /** Pages that are not in the sent set; changes after the set does. */
  readonly #unsent: BigInt64Array;

  /** `pageCounts`: target pages of each block. `share`: of another thread's, made for the same blocks. */
  constructor(pageCounts: readonly number[], share?: SentPagesShare) {
    this.#sent = pageCounts.map((pages, i) => new PageBitmap(pages, share?.sent[i]));
    this.#removed = pageCounts.map((pages, i) => new PageBitmap(pages, share?.removed[i]));
    this.#unsent = new BigInt64Array(share?.unsent ?? new SharedArrayBuffer(8));
    if (!share) this.#unsent[0] = BigInt(pageCounts.reduce((sum, pages) => sum + pages, 0));
  }

  get share(): SentPagesShare {
    return {
      unsent: this.#unsent.buffer as SharedArrayBuffer,
      sent: this.#sent.map(({ buffer }) => buffer),
      removed: this.#removed.map(({ buffer }) => buffer),
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

  isRemoved(block: number, pgoff: number): boolean {
    return this.#bitmap(this.#removed, block).has(pgoff);
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
