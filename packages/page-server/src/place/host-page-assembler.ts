import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import { Internal } from '@umem/errors';
import type { HostPageStaging } from './host-page-staging.js';
import type { PageContent } from './place-pages.js';
import type { Unplaced } from './placer.js';
import type { UmemBlock, UmemMemory } from './umem-memory.js';

/** A host page whose target pages are all there, and what goes into it. */
export interface WholeHostPage extends Unplaced {
  readonly hostPage: number;
}

/** What became of target pages that arrived for large host pages. */
export interface Staged {
  /** Pages that were claimed here. */
  readonly claimed: number;
  /** Pages for which there was no room: as if they had not come. */
  readonly dropped: number;
  /** Numbers, within the block, of host pages that have become whole. Each is told to one thread. */
  readonly whole: readonly number[];
}

/** The two words of a host page. */
const CLAIMED_AND_THERE = 0;
const GIVEN_UP = 1;
const WORDS = 2;

/**
 * Puts target pages together to host pages that are larger. Each target page is claimed and copied into the
 * host page's slot by one thread; the thread that brings the last one has a whole host page. Any thread.
 */
export class HostPageAssembler {
  readonly #staging: HostPageStaging;

  constructor({ staging }: UmemMemory) {
    if (!staging) throw new Internal('There is no staging area without large host pages');
    this.#staging = staging;
  }

  /** Takes a run of target pages; `contentAt` answers with what goes into the pages from a pgoff on. */
  take(block: UmemBlock, run: PageRange, contentAt: (pgoff: number) => PageContent): Staged {
    let claimed = 0;
    let dropped = 0;
    const whole: number[] = [];
    for (const [hostPage, part] of splitByHostPage(block, run)) {
      const claim = this.#claim(block, hostPage, part, contentAt(part.pgoff));
      if (!claim) {
        dropped += part.pageCount;
        continue;
      }
      let pages = 0;
      for (const range of claim.ranges) {
        pages += range.pageCount;
        if (claim.slot !== null) this.#copy(block, hostPage, claim.slot, range, contentAt(range.pgoff));
      }
      claimed += pages;
      if (pages > 0 && this.#add(block, hostPage, CLAIMED_AND_THERE, pages) === block.pagesPerHostPage)
        whole.push(hostPage);
    }
    return { claimed, dropped, whole };
  }

  /** Gives target pages up; answers with those that were missing. Main event loop, while the gate is closed. */
  giveUp(block: UmemBlock, range: PageRange): { missing: PageRange[]; whole: number[] } {
    const missing: PageRange[] = [];
    const whole: number[] = [];
    for (const [hostPage, part] of splitByHostPage(block, range)) {
      const claimed = this.#staging.locked(() => {
        block.removed.addRange(part);
        return block.received.addRange(part);
      });
      const pages = claimed.reduce((sum, { pageCount }) => sum + pageCount, 0);
      if (pages === 0) continue;
      missing.push(...claimed);
      this.#add(block, hostPage, GIVEN_UP, pages);
      if (this.#add(block, hostPage, CLAIMED_AND_THERE, pages) === block.pagesPerHostPage)
        whole.push(hostPage);
    }
    return { missing, whole };
  }

  /** What to place for a whole host page; null when the guest has given all of it up. */
  contentOf(block: UmemBlock, hostPage: number): WholeHostPage | null {
    const range = rangeOf(block, hostPage);
    if (block.removed.hasAll(range)) return null;
    const slot = this.#staging.find(block.firstHostPage + hostPage);
    const unplaced = { blockId: block.blockId, range, hostPage };
    // Only zeros need no slot.
    if (slot === null) return { ...unplaced, content: { kind: 'fill', value: 0 } };
    const data = this.#staging.bytes(slot);
    for (let i = 0; i < range.pageCount; i++)
      if (block.removed.has(range.pgoff + i)) data.fill(0, i * TARGET_PAGE_SIZE, (i + 1) * TARGET_PAGE_SIZE);
    return { ...unplaced, content: { kind: 'raw', data, offset: 0 } };
  }

  /** The host page is in memory, or given up: answers with how many of its pages that settles. */
  finish(block: UmemBlock, hostPage: number): number {
    this.#staging.close(block.firstHostPage + hostPage);
    return block.pagesPerHostPage - Atomics.load(block.hostPages, hostPage * WORDS + GIVEN_UP);
  }

  /** Claims pages of one host page, and a slot for them; null when there is no room. */
  #claim(
    block: UmemBlock,
    hostPage: number,
    part: PageRange,
    content: PageContent,
  ): { slot: number | null; ranges: PageRange[] } | null {
    const { received, pagesPerHostPage, firstHostPage } = block;
    return this.#staging.locked(() => {
      if (received.hasAll(part)) return { slot: null, ranges: [] };
      const isZeros = content.kind === 'fill' && content.value === 0;
      if (isZeros && part.pageCount === pagesPerHostPage && !received.hasAny(part))
        return { slot: null, ranges: received.addRange(part) };
      const slot = this.#staging.open(firstHostPage + hostPage);
      return slot === null ? null : { slot, ranges: received.addRange(part) };
    });
  }

  #copy(block: UmemBlock, hostPage: number, slot: number, range: PageRange, content: PageContent): void {
    const bytes = this.#staging.bytes(slot);
    const at = (range.pgoff - hostPage * block.pagesPerHostPage) * TARGET_PAGE_SIZE;
    const length = range.pageCount * TARGET_PAGE_SIZE;
    if (content.kind === 'fill') bytes.fill(content.value, at, at + length);
    else bytes.set(content.data.subarray(content.offset, content.offset + length), at);
  }

  #add(block: UmemBlock, hostPage: number, word: number, pages: number): number {
    return Atomics.add(block.hostPages, hostPage * WORDS + word, pages) + pages;
  }
}

/** The target pages of a host page. */
export function rangeOf(block: UmemBlock, hostPage: number): PageRange {
  return { pgoff: hostPage * block.pagesPerHostPage, pageCount: block.pagesPerHostPage };
}

function* splitByHostPage(block: UmemBlock, { pgoff, pageCount }: PageRange): Generator<[number, PageRange]> {
  const end = pgoff + pageCount;
  for (let at = pgoff; at < end;) {
    const hostPage = Math.floor(at / block.pagesPerHostPage);
    const to = Math.min(end, (hostPage + 1) * block.pagesPerHostPage);
    yield [hostPage, { pgoff: at, pageCount: to - at }];
    at = to;
  }
}
