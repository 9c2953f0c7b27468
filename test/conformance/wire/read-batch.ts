import type { PageBatchMessage } from './messages.js';

export const PAGE_BYTES = 4096;
export const MAX_PGOFFS = 4063;
export const MAX_RAW_PAGES = 256;

export interface ReadPage {
  readonly pgoff: number;
  readonly bytes: Buffer;
}

/** What is wrong with a batch that a source has sent. */
export class BadBatch extends Error {}

/**
 * Takes a batch apart and holds it against every rule that proto/ has for one. `pageCounts`: pages of
 * each block. Throws BadBatch.
 */
export function readBatch(batch: PageBatchMessage, pageCounts: ReadonlyMap<string, number>): ReadPage[] {
  const { block_id: blockId, runs, data } = batch;
  const pageCount = pageCounts.get(blockId);
  if (pageCount === undefined) throw new BadBatch(`block_id "${blockId}" is no block of the VM`);
  if (runs.length === 0) throw new BadBatch('a batch without runs');
  const pages: ReadPage[] = [];
  let next = 0;
  let rawPages = 0;
  for (const { pgoff, page_count: count, encoding, fill_value: fill } of runs) {
    if (count < 1) throw new BadBatch(`a run of ${count} pages at pgoff ${pgoff}`);
    if (pgoff < next) throw new BadBatch(`a run at pgoff ${pgoff} behind one that ends at ${next}`);
    next = pgoff + count;
    if (next > pageCount) throw new BadBatch(`a run that ends at pgoff ${next} of ${pageCount} pages`);
    const isRaw = encoding === 'PAGE_ENCODING_RAW';
    if (!isRaw && encoding !== 'PAGE_ENCODING_FILL') throw new BadBatch(`a run with encoding ${encoding}`);
    if (isRaw ? fill !== 0 : fill > 255) throw new BadBatch(`fill_value ${fill} in a ${encoding} run`);
    for (let page = pgoff; page < next; page++) {
      const at = rawPages * PAGE_BYTES;
      if (isRaw) rawPages++;
      pages.push({
        pgoff: page,
        bytes: isRaw ? data.subarray(at, at + PAGE_BYTES) : Buffer.alloc(PAGE_BYTES, fill),
      });
    }
  }
  if (pages.length > MAX_PGOFFS) throw new BadBatch(`${pages.length} pages in one batch`);
  if (rawPages > MAX_RAW_PAGES) throw new BadBatch(`${rawPages} RAW pages in one batch`);
  if (data.length !== rawPages * PAGE_BYTES)
    throw new BadBatch(`${data.length} bytes of data for ${rawPages} RAW pages`);
  return pages;
}
