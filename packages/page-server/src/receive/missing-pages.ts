import { MAX_PGOFFS_PER_MESSAGE, type PageRange } from '@umem/ram';
import { rangeOf } from '../place/host-page-assembler.js';
import type { UmemBlock, UmemMemory } from '../place/umem-memory.js';

/**
 * Pages that have not arrived and that no fault waits for, block by block, in lists that fit one
 * message; first those of host pages that are half there, to make room for the others. Looks at the
 * bitmaps as it goes: pages that arrive meanwhile are left out, some may be told twice.
 */
export function* missingPages(
  memory: UmemMemory,
  isWaitedFor: (blockId: string, pgoff: number) => boolean,
): Generator<{ blockId: string; pgoffs: number[] }> {
  const open = memory.staging?.openHostPages() ?? [];
  for (const block of memory.blocks.values())
    for (const hostPage of open.filter((each) => isIn(block, each)))
      yield* missingIn(block, rangeOf(block, hostPage - block.firstHostPage), isWaitedFor);
  for (const block of memory.blocks.values())
    yield* missingIn(block, { pgoff: 0, pageCount: block.pageCount }, isWaitedFor);
}

function isIn({ firstHostPage, pageCount, pagesPerHostPage }: UmemBlock, hostPage: number): boolean {
  return hostPage >= firstHostPage && hostPage < firstHostPage + pageCount / pagesPerHostPage;
}

function* missingIn(
  { blockId, received, pagesPerHostPage }: UmemBlock,
  { pgoff: first, pageCount }: PageRange,
  isWaitedFor: (blockId: string, pgoff: number) => boolean,
): Generator<{ blockId: string; pgoffs: number[] }> {
  let pgoffs: number[] = [];
  for (let at = first; ;) {
    const range = received.nextMissing(at, first + pageCount, MAX_PGOFFS_PER_MESSAGE);
    if (!range) break;
    at = range.pgoff + range.pageCount;
    for (let pgoff = range.pgoff; pgoff < at; pgoff++) {
      // Of a large host page, what a fault asked for may have been dropped: asking twice does no harm.
      if (pagesPerHostPage > 1 || !isWaitedFor(blockId, pgoff)) pgoffs.push(pgoff);
      if (pgoffs.length < MAX_PGOFFS_PER_MESSAGE) continue;
      yield { blockId, pgoffs };
      pgoffs = [];
    }
  }
  if (pgoffs.length > 0) yield { blockId, pgoffs };
}
