/** Size of a target page, the request protocol's unit, in bytes. */
export const TARGET_PAGE_SIZE = 4096;

/** Most pgoffs in one message: what fits the original protocol's 32 KiB buffer. */
export const MAX_PGOFFS_PER_MESSAGE = 4063;

/** Consecutive target pages [pgoff, pgoff + pageCount). */
export interface PageRange {
  readonly pgoff: number;
  readonly pageCount: number;
}

/** Groups ascending pgoffs into ranges of consecutive pages. Throws RangeError when not ascending. */
export function toRanges(pgoffs: Iterable<number>): PageRange[] {
  const ranges: PageRange[] = [];
  let start = -1;
  let end = -1;
  for (const pgoff of pgoffs) {
    if (pgoff === end) {
      end++;
      continue;
    }
    if (pgoff < end) throw new RangeError(`Page offsets are not ascending: ${pgoff} after ${end - 1}`);
    if (start >= 0) ranges.push({ pgoff: start, pageCount: end - start });
    start = pgoff;
    end = pgoff + 1;
  }
  if (start >= 0) ranges.push({ pgoff: start, pageCount: end - start });
  return ranges;
}

/** Most pages whose bytes travel in one batch: 1 MiB. */
export const MAX_RAW_PAGES_PER_BATCH = 256;
