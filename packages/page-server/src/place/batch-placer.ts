import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import type { CheckedBatch, CheckedRun } from '../receive/batch-check.js';
import { HostPageAssembler } from './host-page-assembler.js';
import type { ArrivalCounter, PendingPages, PendingPlacement, PendingZeros } from './pending.js';
import type { PlaceOutcome, Placer, Unplaced } from './placer.js';
import type { PageContent } from './place-pages.js';
import type { PlacingGate } from './placing-gate.js';
import type { UmemBlock, UmemMemory } from './umem-memory.js';

/**
 * Pages that are claimed and placed at a time: events cannot be read meanwhile, so that a fault waits for at
 * most one ioctl of so many pages.
 */
const MAX_PAGES_AT_ONCE = 32;

/** Who is told what placing brought about. */
export interface PlacementListener {
  /** Pages for which a fault may wait are in memory. */
  answered(blockId: string, range: PageRange): void;
  /** Pages of the source are in memory. */
  placed(blockId: string, range: PageRange): void;
  /** Pages that must be tried again, on the main event loop, after pending events were read. */
  retry(pending: PendingPlacement): void;
  /** Pages that cannot be placed: the VMM, or its mapping of them, is no more. */
  gone(pending: PendingPlacement): void;
  /** Pages were dropped, for there was no room for them. */
  dropped(): void;
  /** The last page is settled. Called once for all threads together. */
  complete(): void;
  /** Placing failed in a way that trying again does not mend. */
  broken(error: unknown): void;
}

/**
 * Claims and places the pages of batches that were checked. A page belongs to the thread that adds it
 * to the received bitmap, and to nobody else; who comes later drops it.
 */
export class BatchPlacer {
  readonly #memory: UmemMemory;
  readonly #placer: Placer;
  readonly #gate: Pick<PlacingGate, 'enter' | 'leave'>;
  readonly #listener: PlacementListener;
  readonly #assembler: HostPageAssembler | null;

  constructor(
    memory: UmemMemory,
    placer: Placer,
    gate: Pick<PlacingGate, 'enter' | 'leave'>,
    listener: PlacementListener,
  ) {
    this.#memory = memory;
    this.#placer = placer;
    this.#gate = gate;
    this.#listener = listener;
    this.#assembler = memory.staging ? new HostPageAssembler(memory) : null;
  }

  place({ block, runs, data }: CheckedBatch, countAs: ArrivalCounter): void {
    const step = Math.max(MAX_PAGES_AT_ONCE, block.pagesPerHostPage);
    for (const run of runs)
      for (const range of split(run, step)) {
        const contentAt = (pgoff: number): PageContent => contentOf(run, pgoff, data);
        this.#gate.enter();
        try {
          if (block.pagesPerHostPage > 1) this.#stage(block, range, contentAt, countAs);
          else this.#claim(block, range, contentAt, countAs);
        } finally {
          this.#gate.leave();
        }
      }
  }

  /** Places what was claimed before, by whatever thread, and counts it. Main event loop. */
  settle(pending: PendingPlacement): void {
    if (pending.kind === 'pages') return this.#settlePages(pending);
    if (pending.kind === 'zeros') return this.#settleZeros(pending);
    const block = this.#memory.blocks.get(pending.blockId);
    if (block) this.#settleHostPage(block, pending.hostPage);
  }

  #claim(
    block: UmemBlock,
    range: PageRange,
    contentAt: (pgoff: number) => PageContent,
    countAs: ArrivalCounter,
  ): void {
    let fresh = 0;
    for (const claimed of block.received.addRange(range)) {
      fresh += claimed.pageCount;
      const content = contentAt(claimed.pgoff);
      this.#settlePages({ kind: 'pages', blockId: block.blockId, range: claimed, content, countAs });
    }
    this.#countDuplicates(range.pageCount - fresh);
  }

  #stage(
    block: UmemBlock,
    range: PageRange,
    contentAt: (pgoff: number) => PageContent,
    countAs: ArrivalCounter,
  ): void {
    if (!this.#assembler) throw new RangeError(`Block "${block.blockId}" has no staging area`);
    const { claimed, dropped, whole } = this.#assembler.take(block, range, contentAt);
    this.#count(claimed, contentAt(range.pgoff), countAs);
    this.#countDuplicates(range.pageCount - claimed - dropped);
    if (dropped > 0) {
      this.#memory.counters.add('droppedPages', dropped);
      this.#listener.dropped();
    }
    for (const hostPage of whole) this.#settleHostPage(block, hostPage);
  }

  #settlePages(pending: PendingPages): void {
    const outcome = this.#tryPlace(pending);
    if (!outcome) return;
    let pages = 0;
    for (const part of outcome.placed) {
      pages += part.pageCount;
      this.#tellPlaced(pending.blockId, part);
    }
    this.#count(pages, pending.content, pending.countAs);
    for (const rest of outcome.retry) this.#listener.retry({ ...pending, ...rest });
    for (const rest of outcome.gone) this.#listener.gone({ ...pending, ...rest });
    this.#settled(pages);
  }

  #settleHostPage(block: UmemBlock, hostPage: number): void {
    const { blockId } = block;
    const content = this.#assembler?.contentOf(block, hostPage);
    if (content) {
      const outcome = this.#tryPlace(content);
      if (!outcome) return;
      // A host page is placed as a whole or not at all.
      if (outcome.retry.length > 0) return this.#listener.retry({ kind: 'host-page', blockId, hostPage });
      if (outcome.gone.length > 0) return this.#listener.gone({ kind: 'host-page', blockId, hostPage });
      this.#tellPlaced(blockId, content.range);
    }
    this.#settled(this.#assembler?.finish(block, hostPage) ?? 0);
  }

  #settleZeros(pending: PendingZeros): void {
    const { blockId, range } = pending;
    const outcome = this.#tryPlace({ blockId, range, content: { kind: 'fill', value: 0 } });
    if (!outcome) return;
    for (const part of outcome.placed) this.#listener.answered(blockId, part);
    for (const rest of outcome.retry) this.#listener.retry({ ...pending, range: rest.range });
    for (const rest of outcome.gone) this.#listener.gone({ ...pending, range: rest.range });
  }

  #tryPlace(unplaced: Unplaced): PlaceOutcome | null {
    try {
      return this.#placer.place(unplaced);
    } catch (error) {
      this.#listener.broken(error);
      return null;
    }
  }

  #settled(pages: number): void {
    if (this.#memory.settle(pages)) this.#listener.complete();
  }

  #count(pages: number, content: PageContent, countAs: ArrivalCounter): void {
    this.#memory.counters.add(countAs, pages);
    if (content.kind === 'fill') this.#memory.counters.add('fillPages', pages);
  }

  #countDuplicates(pages: number): void {
    if (pages > 0) this.#memory.counters.add('duplicatePages', pages);
  }

  /**
   * The event loop marks a page as requested and then looks whether it was placed; here it is the
   * other way round. So whichever order the two threads run in, one of them sees the other.
   */
  #tellPlaced(blockId: string, range: PageRange): void {
    const block = this.#memory.blocks.get(blockId);
    block?.placed.addRange(range);
    this.#listener.placed(blockId, range);
    if (block?.requested.hasAny(range)) this.#listener.answered(blockId, range);
  }
}

function* split({ pgoff, pageCount }: PageRange, max: number): Generator<PageRange> {
  for (let done = 0; done < pageCount; done += max)
    yield { pgoff: pgoff + done, pageCount: Math.min(max, pageCount - done) };
}

function contentOf(run: CheckedRun, pgoff: number, data: Uint8Array): PageContent {
  if (run.fillValue !== null) return { kind: 'fill', value: run.fillValue };
  return { kind: 'raw', data, offset: run.dataOffset + (pgoff - run.pgoff) * TARGET_PAGE_SIZE };
}
