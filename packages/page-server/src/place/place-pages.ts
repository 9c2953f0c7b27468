import type { NativeUserfaultfd, PlaceResult } from '@umem/native';
import { toPlaceOutcome } from '@umem/native';
import { TARGET_PAGE_SIZE } from '@umem/ram';

/** What goes into consecutive pages. */
export type PageContent =
  /** Bytes of all the pages, from `offset` of `data`. */
  | { readonly kind: 'raw'; readonly data: Uint8Array; readonly offset: number }
  /** One value, 0 to 255, for every byte. */
  | { readonly kind: 'fill'; readonly value: number };

/** How far placing came. A value, for it happens on the fault path. */
export interface PlaceProgress {
  /** Pages from the start that are in memory now, placed here or present before. */
  readonly pages: number;
  /** Why the rest is not: try again once pending events are read, or the VMM's mapping is no more. */
  readonly stopped: null | 'retry' | 'gone';
}

/**
 * Places `pageCount` pages at `hostAddress` of the VMM, as far as it goes, and wakes whoever waits for
 * them: one ioctl per run, and one more for each page that turns out to be there already. Any thread.
 */
export function placePages(
  uffd: NativeUserfaultfd,
  hostAddress: bigint,
  pageCount: number,
  content: PageContent,
): PlaceProgress {
  let pages = 0;
  while (pages < pageCount) {
    const address = hostAddress + BigInt(pages) * BigInt(TARGET_PAGE_SIZE);
    const result = placeRun(uffd, address, pageCount - pages, pages, content);
    // A run that stops in its middle has placed what is before: account for that, then look why.
    const placed = result.placedBytes / TARGET_PAGE_SIZE;
    pages += placed;
    if (pages === pageCount) break;
    // A short copy says EAGAIN whatever the reason; the next try tells.
    if (placed > 0) continue;
    const outcome = toPlaceOutcome(result);
    if (outcome === 'already-present') {
      // The kernel wakes nobody for a page that somebody else placed.
      uffd.wake(address, TARGET_PAGE_SIZE);
      pages++;
    } else if (outcome !== 'placed') {
      return { pages, stopped: outcome };
    }
  }
  return { pages, stopped: null };
}

function placeRun(
  uffd: NativeUserfaultfd,
  address: bigint,
  pageCount: number,
  skippedPages: number,
  content: PageContent,
): PlaceResult {
  const lengthBytes = pageCount * TARGET_PAGE_SIZE;
  if (content.kind === 'raw')
    return uffd.copy(address, content.data, content.offset + skippedPages * TARGET_PAGE_SIZE, lengthBytes);
  // The zero page costs no memory until the guest writes to it.
  return content.value === 0
    ? uffd.zeropage(address, lengthBytes)
    : uffd.fill(address, content.value, lengthBytes);
}

/** The rest of `content` after its first `pages` pages. */
export function skipPages(content: PageContent, pages: number): PageContent {
  return content.kind === 'raw' ? { ...content, offset: content.offset + pages * TARGET_PAGE_SIZE } : content;
}
