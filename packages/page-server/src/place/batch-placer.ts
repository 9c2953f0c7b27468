import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import type { CheckedBatch, CheckedRun } from '../receive/batch-check.js';
import type { Counter } from './counters.js';
import type { PlaceOutcome, Placer, Unplaced } from './placer.js';
import type { PageContent } from './place-pages.js';
import type { UmemBlock, UmemMemory } from './umem-memory.js';

/** What a lane's pages counted as. */
export type ArrivalCounter = Extract<Counter, 'demandPages' | 'backgroundPages'>;

/** Pages that are claimed but not in memory yet. */
export interface PendingPlacement extends Unplaced {
  /** What they count as once they are; null: they were given up, and counted as that. */
  readonly countAs: ArrivalCounter | null;
}

/** Who is told what placing brought about. */
export interface PlacementListener {
  /** Pages for which a fault may wait are in memory: their waiters were woken. */
  answered(blockId: string, range: PageRange): void;
  /** Pages that must be tried again, on the main event loop, after pending events were read. */
  retry(pending: PendingPlacement): void;
  /** The last page is settled. Called once for all threads together. */
  complete(): void;
  /** The VMM, or its mapping of guest RAM, is no more. */
  gone(): void;
  /** Placing failed in a way that trying again does not mend. */
  broken(error: unknown): void;
}

/** A copy that holds its own bytes only, not the whole message that they came in. */
export function detachPending(pending: PendingPlacement): PendingPlacement {
  const { content, range } = pending;
  if (content.kind === 'fill') return pending;
  const data = content.data.slice(content.offset, content.offset + range.pageCount * TARGET_PAGE_SIZE);
  return { ...pending, content: { kind: 'raw', data, offset: 0 } };
}

/**
 * Claims and places the pages of batches that were checked. A page belongs to the thread that adds it
 * to the received bitmap, and to nobody else; who comes later drops it.
 */
export class BatchPlacer {
  readonly #memory: UmemMemory;
  readonly #placer: Placer;
  readonly #listener: PlacementListener;

  constructor(memory: UmemMemory, placer: Placer, listener: PlacementListener) {
    this.#memory = memory;
    this.#placer = placer;
    this.#listener = listener;
  }

  place(batch: CheckedBatch, countAs: ArrivalCounter): void {
    for (const run of batch.runs) {
      const claimed = batch.block.received.addRange(run);
      let fresh = 0;
      for (const range of claimed) {
        fresh += range.pageCount;
        const content = contentOf(run, range, batch.data);
        this.settle({ blockId: batch.block.blockId, range, content, countAs });
      }
      if (fresh < run.pageCount) this.#memory.counters.add('duplicatePages', run.pageCount - fresh);
    }
  }

  /** Places pages that were claimed before, by whatever thread, and counts them. */
  settle(pending: PendingPlacement): void {
    const { blockId, content, countAs } = pending;
    let outcome: PlaceOutcome;
    try {
      outcome = this.#placer.place(pending);
    } catch (error) {
      return this.#listener.broken(error);
    }
    const { placed, retry, gone } = outcome;
    let placedPages = 0;
    for (const part of placed) {
      placedPages += part.pageCount;
      this.#tellAnswered(blockId, part);
    }
    if (countAs !== null) this.#count(placedPages, content, countAs);
    for (const rest of retry) this.#listener.retry({ ...rest, countAs });
    if (gone) return this.#listener.gone();
    if (countAs !== null && this.#memory.settle(placedPages)) this.#listener.complete();
  }

  #count(pages: number, content: PageContent, countAs: ArrivalCounter): void {
    this.#memory.counters.add(countAs, pages);
    if (content.kind === 'fill') this.#memory.counters.add('fillPages', pages);
  }

  /**
   * The event loop marks a page as requested and then looks whether it was received; here it is the
   * other way round. So whichever order the two threads run in, one of them sees the other.
   */
  #tellAnswered(blockId: string, range: PageRange): void {
    const block = this.#memory.blocks.get(blockId);
    if (block && hasAny(block, range)) this.#listener.answered(blockId, range);
  }
}

function hasAny({ requested }: UmemBlock, { pgoff, pageCount }: PageRange): boolean {
  for (let page = pgoff; page < pgoff + pageCount; page++) if (requested.has(page)) return true;
  return false;
}

function contentOf(run: CheckedRun, range: PageRange, data: Uint8Array): PageContent {
  if (run.fillValue !== null) return { kind: 'fill', value: run.fillValue };
  return { kind: 'raw', data, offset: run.dataOffset + (range.pgoff - run.pgoff) * TARGET_PAGE_SIZE };
}
