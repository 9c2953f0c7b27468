import type { NativeUserfaultfd, PlaceResult } from '@umem/native';
import { toPlaceOutcome } from '@umem/native';

/** What goes into consecutive pages. */
export type PageContent =
  /** Bytes of all the pages, from `offset` of `data`. */
  | { readonly kind: 'raw'; readonly data: Uint8Array; readonly offset: number }
  /** One value, 0 to 255, for every byte. */
  | { readonly kind: 'fill'; readonly value: number };

/** Sizes that placing works in, in bytes; powers of two. */
export interface PageSizes {
  /** What `pageCount` counts. */
  readonly target: number;
  /** What the kernel places: the smallest piece that can be there or not be there. */
  readonly host: number;
}

/** The smallest pages that userfaultfd knows; larger ones are on hugetlbfs. */
const SMALL_PAGE_BYTES = 4096;

/** How far placing came. A value, for it happens on the fault path. */
export interface PlaceProgress {
  /** Whole target pages from the start that are in memory now, placed here or present before. */
  readonly pages: number;
  /** Why the rest is not: try again once pending events are read, or the VMM's mapping is no more. */
  readonly stopped: null | 'retry' | 'gone';
}

/**
 * Places `pageCount` target pages at `hostAddress` of the VMM, as far as it goes, and wakes whoever waits
 * for them: one ioctl per run, and one more for each host page that turns out to be there already. Pages that
 * are smaller than a host page must come as whole host pages. Any thread.
 */
export function placePages(
  uffd: NativeUserfaultfd,
  hostAddress: bigint,
  pageCount: number,
  content: PageContent,
  sizes: PageSizes,
): PlaceProgress {
  const lengthBytes = pageCount * sizes.target;
  let done = 0;
  while (done < lengthBytes) {
    const address = hostAddress + BigInt(done);
    const result = placeRun(uffd, address, lengthBytes - done, done, content, sizes.host);
    // A run that stops in its middle has placed what is before: account for that, then look why.
    done += result.placedBytes;
    if (done >= lengthBytes) break;
    // A short copy says EAGAIN whatever the reason; the next try tells.
    if (result.placedBytes > 0) continue;
    const outcome = toPlaceOutcome(result);
    if (outcome === 'already-present') {
      // The kernel wakes nobody for a page that somebody else placed.
      uffd.wake(address, sizes.host);
      done += sizes.host;
    } else if (outcome !== 'placed') {
      // Host pages of a target page that is not whole are met again, and stepped over.
      return { pages: Math.floor(done / sizes.target), stopped: outcome };
    }
  }
  return { pages: pageCount, stopped: null };
}

function placeRun(
  uffd: NativeUserfaultfd,
  address: bigint,
  lengthBytes: number,
  skippedBytes: number,
  content: PageContent,
  hostPageSize: number,
): PlaceResult {
  if (content.kind === 'raw')
    return uffd.copy(address, content.data, content.offset + skippedBytes, lengthBytes);
  // The zero page costs no memory until the guest writes to it; hugetlbfs has none.
  return content.value === 0 && hostPageSize === SMALL_PAGE_BYTES
    ? uffd.zeropage(address, lengthBytes)
    : uffd.fill(address, content.value, lengthBytes);
}

/** The rest of `content` after its first `bytes` bytes. */
export function skipBytes(content: PageContent, bytes: number): PageContent {
  return content.kind === 'raw' ? { ...content, offset: content.offset + bytes } : content;
}
