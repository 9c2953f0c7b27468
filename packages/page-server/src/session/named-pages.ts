import { InvalidArgument, NotFound, PgoffOutOfRange } from '@umem/errors';
import { MAX_PGOFFS_PER_MESSAGE } from '@umem/ram';
import type { UmemMemory } from '../place/umem-memory.js';

/** Pages of one block that a control message names. */
export interface NamedPages {
  readonly blockId: string;
  readonly pgoffs: readonly number[];
}

/** Throws NotFound, InvalidArgument or PgoffOutOfRange unless every page exists. */
export function checkNamedPages({ blockId, pgoffs }: NamedPages, { blocks }: UmemMemory): void {
  const block = blocks.get(blockId);
  if (!block) throw new NotFound(`block_id ${JSON.stringify(blockId)} is not a block of this VM`);
  if (pgoffs.length === 0 || pgoffs.length > MAX_PGOFFS_PER_MESSAGE)
    throw new InvalidArgument(`pgoffs has ${pgoffs.length} entries: it takes 1 to ${MAX_PGOFFS_PER_MESSAGE}`);
  const outside = pgoffs.find((pgoff) => pgoff >= block.pageCount);
  if (outside !== undefined)
    throw new PgoffOutOfRange(
      `pgoff ${outside} is past block "${blockId}", which has ${block.pageCount} pages`,
    );
}
