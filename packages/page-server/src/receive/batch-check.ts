import { PageEncoding, type PageBatch } from '@umem/api';
import { InvalidArgument, NotFound, PgoffOutOfRange } from '@umem/errors';
import { MAX_PGOFFS_PER_MESSAGE, MAX_RAW_PAGES_PER_BATCH, TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import type { UmemBlock } from '../place/umem-memory.js';

/** A run that may be placed. */
export interface CheckedRun extends PageRange {
  /** Value of every byte; null when the bytes lie in the batch's data. */
  readonly fillValue: number | null;
  /** Where the run's bytes start in the batch's data. */
  readonly dataOffset: number;
}

/** A batch of which every page may be placed. */
export interface CheckedBatch {
  readonly block: UmemBlock;
  readonly runs: readonly CheckedRun[];
  readonly data: Uint8Array;
}

/**
 * Checks a whole batch, so that no page of a bad one is placed. Throws NotFound for an unknown block,
 * PgoffOutOfRange past its end, InvalidArgument for everything else; each names the field.
 */
export function checkBatch(batch: PageBatch, blocks: ReadonlyMap<string, UmemBlock>): CheckedBatch {
  const block = blocks.get(batch.blockId);
  if (!block) throw new NotFound(`block_id ${JSON.stringify(batch.blockId)} is not a block of this VM`);
  if (batch.runs.length === 0) throw new InvalidArgument('runs is empty: a batch has at least one');
  let pages = 0;
  let rawPages = 0;
  let next = 0;
  const runs = batch.runs.map((run, i): CheckedRun => {
    const { pgoff, pageCount, encoding, fillValue } = run;
    const at = `runs[${i}]`;
    if (pageCount === 0) throw new InvalidArgument(`${at}.page_count is 0`);
    if (pgoff < next)
      throw new InvalidArgument(`${at}.pgoff ${pgoff} is below ${next}: runs must ascend and not overlap`);
    next = pgoff + pageCount;
    if (next > block.pageCount)
      throw new PgoffOutOfRange(
        `${at} ends at pgoff ${next} and block "${block.blockId}" has ${block.pageCount} pages`,
      );
    const checked: CheckedRun = {
      pgoff,
      pageCount,
      fillValue: checkEncoding(at, encoding, fillValue),
      dataOffset: rawPages * TARGET_PAGE_SIZE,
    };
    pages += pageCount;
    if (checked.fillValue === null) rawPages += pageCount;
    return checked;
  });
  if (pages > MAX_PGOFFS_PER_MESSAGE)
    throw new InvalidArgument(`runs have ${pages} pages and a batch at most ${MAX_PGOFFS_PER_MESSAGE}`);
  if (rawPages > MAX_RAW_PAGES_PER_BATCH)
    throw new InvalidArgument(
      `runs have ${rawPages} RAW pages and a batch at most ${MAX_RAW_PAGES_PER_BATCH}`,
    );
  if (batch.data.length !== rawPages * TARGET_PAGE_SIZE)
    throw new InvalidArgument(
      `data has ${batch.data.length} bytes and ${rawPages} RAW pages have ${rawPages * TARGET_PAGE_SIZE}`,
    );
  return { block, runs, data: batch.data };
}

function checkEncoding(at: string, encoding: PageEncoding, fillValue: number): number | null {
  switch (encoding) {
    case PageEncoding.RAW:
      if (fillValue !== 0) throw new InvalidArgument(`${at}.fill_value is ${fillValue} in a RAW run`);
      return null;
    case PageEncoding.FILL:
      if (fillValue > 255) throw new InvalidArgument(`${at}.fill_value ${fillValue} is more than 255`);
      return fillValue;
    default:
      throw new InvalidArgument(`${at}.encoding ${encoding} is unknown`);
  }
}
