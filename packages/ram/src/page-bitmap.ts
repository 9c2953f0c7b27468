import type { PageRange } from './page.js';

const BITS = 32;

/** Number of ones in a 32-bit word. */
function popCount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return (((v + (v >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

/** Mask of `count` ones from bit `from`; from + count <= 32. */
function maskOf(from: number, count: number): number {
  return count === BITS ? -1 : ((1 << count) - 1) << from;
}

/**
 * A set of the target pages of one RAM block, shared between threads: all changes are atomic, and
 * the methods that change it say which pages were new, so that of several threads exactly one wins
 * each page.
 */
export class PageBitmap {
  readonly #words: Int32Array;

  /** `buffer`: of another thread's bitmap, to share it; it must have been made for as many pages. */
  constructor(
    readonly pageCount: number,
    readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(Math.ceil(pageCount / BITS) * 4),
  ) {
    if (buffer.byteLength !== Math.ceil(pageCount / BITS) * 4)
      throw new RangeError(`A bitmap of ${pageCount} pages does not fit ${buffer.byteLength} bytes`);
    this.#words = new Int32Array(buffer);
  }

  has(pgoff: number): boolean {
    return (Atomics.load(this.#words, pgoff >>> 5) & (1 << (pgoff & 31))) !== 0;
  }

  /** True when every page of the range is in the set. */
  hasAll({ pgoff, pageCount }: PageRange): boolean {
    return this.nextMissing(pgoff, pgoff + pageCount, 1) === null;
  }

  /** True when at least one page of the range is in the set. */
  hasAny({ pgoff, pageCount }: PageRange): boolean {
    const end = pgoff + pageCount;
    for (let page = pgoff; page < end;) {
      const bit = page & 31;
      const count = Math.min(BITS - bit, end - page);
      if ((Atomics.load(this.#words, page >>> 5) & maskOf(bit, count)) !== 0) return true;
      page += count;
    }
    return false;
  }

  /** Adds one page; true when it was not in the set. */
  add(pgoff: number): boolean {
    const bit = 1 << (pgoff & 31);
    return (Atomics.or(this.#words, pgoff >>> 5, bit) & bit) === 0;
  }

  /** Takes one page out; true when it was in the set. */
  delete(pgoff: number): boolean {
    const bit = 1 << (pgoff & 31);
    return (Atomics.and(this.#words, pgoff >>> 5, ~bit) & bit) !== 0;
  }

  /** Adds a range and answers with the parts of it that were not in the set, ascending. */
  addRange({ pgoff, pageCount }: PageRange): PageRange[] {
    const added: { pgoff: number; pageCount: number }[] = [];
    const end = pgoff + pageCount;
    for (let page = pgoff; page < end;) {
      const bit = page & 31;
      const count = Math.min(BITS - bit, end - page);
      const mask = maskOf(bit, count);
      const fresh = mask & ~Atomics.or(this.#words, page >>> 5, mask);
      if (fresh !== 0) appendRuns(added, page - bit, fresh);
      page += count;
    }
    return added;
  }

  /**
   * First run of pages that are not in the set, at or after `from` and before `limit`, of at most
   * `maxPages`; null when there is none. A look, not a claim.
   */
  nextMissing(from: number, limit: number, maxPages: number): PageRange | null {
    let page = from;
    while (page < limit) {
      const clear = ~Atomics.load(this.#words, page >>> 5) & (-1 << (page & 31));
      if (clear !== 0) {
        page += 31 - Math.clz32(clear & -clear) - (page & 31);
        break;
      }
      page += BITS - (page & 31);
    }
    if (page >= limit) return null;
    const end = Math.min(limit, page + maxPages);
    let last = page + 1;
    while (last < end && !this.has(last)) last++;
    return { pgoff: page, pageCount: last - page };
  }

  /**
   * First run of pages that are in this set and not in `other`, at or after `from` and before `limit`, of at
   * most `maxPages`; null when there is none. `other` is of as many pages.
   */
  nextNotIn(other: PageBitmap, from: number, limit: number, maxPages: number): PageRange | null {
    let page = from;
    while (page < limit) {
      const word = page >>> 5;
      const set = Atomics.load(this.#words, word) & ~Atomics.load(other.#words, word) & (-1 << (page & 31));
      if (set !== 0) {
        page += 31 - Math.clz32(set & -set) - (page & 31);
        break;
      }
      page += BITS - (page & 31);
    }
    if (page >= limit) return null;
    const end = Math.min(limit, page + maxPages);
    let last = page + 1;
    while (last < end && this.has(last) && !other.has(last)) last++;
    return { pgoff: page, pageCount: last - page };
  }

  /** Pages in the set; a moment's view while others change it. */
  count(): number {
    let pages = 0;
    for (let i = 0; i < this.#words.length; i++) pages += popCount(Atomics.load(this.#words, i));
    return pages;
  }

  /** The set as it travels: one bit per page, page 0 in the lowest bit of byte 0. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.pageCount / 8));
    bytes.set(new Uint8Array(this.buffer).slice(0, bytes.length));
    return bytes;
  }

  /** Reads what `toBytes` wrote. Throws RangeError on a wrong length or bits past the end. */
  static fromBytes(pageCount: number, bytes: Uint8Array): PageBitmap {
    const expected = Math.ceil(pageCount / 8);
    if (bytes.length !== expected)
      throw new RangeError(`A bitmap of ${pageCount} pages has ${expected} bytes, not ${bytes.length}`);
    const spare = expected * 8 - pageCount;
    if (spare > 0 && (bytes[expected - 1] ?? 0) >>> (8 - spare) !== 0)
      throw new RangeError(`The bitmap has bits set past its ${pageCount} pages`);
    const bitmap = new PageBitmap(pageCount);
    new Uint8Array(bitmap.buffer).set(bytes);
    return bitmap;
  }
}

/** Appends the runs of ones in `word` (whose bit 0 is page `base`), joining touching neighbours. */
function appendRuns(runs: { pgoff: number; pageCount: number }[], base: number, word: number): void {
  for (let rest = word; rest !== 0;) {
    const from = 31 - Math.clz32(rest & -rest);
    const inverted = ~rest & (-1 << from);
    const end = inverted === 0 ? BITS : 31 - Math.clz32(inverted & -inverted);
    const last = runs.at(-1);
    if (last && last.pgoff + last.pageCount === base + from) last.pageCount += end - from;
    else runs.push({ pgoff: base + from, pageCount: end - from });
    rest &= ~maskOf(from, end - from);
  }
}
