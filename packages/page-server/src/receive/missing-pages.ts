import { MAX_PGOFFS_PER_MESSAGE } from '@umem/ram';
import type { UmemMemory } from '../place/umem-memory.js';

/**
 * Pages that have not arrived and that no fault waits for, block by block, in lists that fit one
 * message. Looks at the bitmaps as it goes: pages that arrive meanwhile are left out.
 */
export function* missingPages(
  memory: UmemMemory,
  isWaitedFor: (blockId: string, pgoff: number) => boolean,
): Generator<{ blockId: string; pgoffs: number[] }> {
  for (const { blockId, pageCount, received } of memory.blocks.values()) {
    let pgoffs: number[] = [];
    for (let at = 0; ;) {
      const range = received.nextMissing(at, pageCount, MAX_PGOFFS_PER_MESSAGE);
      if (!range) break;
      at = range.pgoff + range.pageCount;
      for (let pgoff = range.pgoff; pgoff < at; pgoff++) {
        if (!isWaitedFor(blockId, pgoff)) pgoffs.push(pgoff);
        if (pgoffs.length < MAX_PGOFFS_PER_MESSAGE) continue;
        yield { blockId, pgoffs };
        pgoffs = [];
      }
    }
    if (pgoffs.length > 0) yield { blockId, pgoffs };
  }
}
