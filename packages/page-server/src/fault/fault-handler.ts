import type { PageRange } from '@umem/ram';
import { HostPageAssembler, rangeOf } from '../place/host-page-assembler.js';
import type { UmemBlock, UmemMemory } from '../place/umem-memory.js';
import type { DemandSender } from '../request/demand-sender.js';
import { HostPageDemand } from '../request/host-page-demand.js';
import type { FaultListener } from './fault-reader.js';
import type { FaultTable, WaitedFor } from './fault-table.js';

/** Where the processes have their memory; changes as they change it. */
export interface FaultMaps {
  /** The page at a host address of a userfaultfd; null when it is no page of ours. */
  toPage(uffd: number, address: bigint): WaitedFor | null;
  /** The whole pages in host addresses [start, end). */
  toRanges(uffd: number, start: bigint, end: bigint): { blockId: string; range: PageRange }[];
  /**
   * The range is mapped there no more; answers with the pages that are mapped nowhere now, or null when
   * none were there: they have moved before, which the kernel tells first.
   */
  unmap(uffd: number, start: bigint, end: bigint): { blockId: string; range: PageRange }[] | null;
  /** The range is at `to` now. */
  move(uffd: number, from: bigint, to: bigint, lengthBytes: bigint): void;
  /** The process forked; `childUffd` is ours. Answers whether the child's faults are served. */
  fork(uffd: number, childUffd: number): boolean;
}

/** What the handler decides and others do. */
export interface FaultActions {
  /**
   * The guest touches pages that were in memory or were given up: they read as zeros where they are not
   * there any more, and whoever waits runs on. Whole host pages.
   */
  supplyZeros(blockId: string, range: PageRange): void;
  /** Host pages have become whole by what was given up. */
  whole(blockId: string, hostPages: readonly number[]): void;
  /** The last missing page was given up. */
  complete(): void;
  /** Something happened that does not stop anything but that a person should know. */
  notice(what: FaultNotice, facts: Record<string, unknown>): void;
  /** The set cannot go on. */
  broken(error: unknown): void;
}

export type FaultNotice = 'discardedEarly' | 'unmapped' | 'moved' | 'forkFollowed' | 'forkIgnored';

/** Faults of pages that are no block's are rounded down to this. */
const PAGE_MASK = ~4095n;

/**
 * Decides what each event of the VMM means. Until the set is armed, faults are only written down: the
 * guest waits. Main event loop only; events are told while the placing gate is closed.
 */
export class FaultHandler implements FaultListener {
  readonly #maps: FaultMaps;
  readonly #memory: UmemMemory;
  readonly #table: FaultTable;
  readonly #sender: DemandSender;
  readonly #actions: FaultActions;
  readonly #assembler: HostPageAssembler | null;
  /** Of blocks with large host pages. */
  readonly hostPages: HostPageDemand;
  #armed = false;

  constructor(
    maps: FaultMaps,
    memory: UmemMemory,
    table: FaultTable,
    sender: DemandSender,
    actions: FaultActions,
  ) {
    this.#maps = maps;
    this.#memory = memory;
    this.#table = table;
    this.#sender = sender;
    this.#actions = actions;
    this.#assembler = memory.staging ? new HostPageAssembler(memory) : null;
    this.hostPages = new HostPageDemand(memory, (page) => sender.ask(page));
  }

  /** Answers faults from now on, those first that were raised before. */
  arm(): void {
    this.#armed = true;
    for (const page of [...this.#table.waitedFor()]) this.#supply(page);
    this.#sender.flush();
  }

  fault(uffd: number, address: bigint, threadId: number, nowUs: number): void {
    const page = this.#maps.toPage(uffd, address & PAGE_MASK);
    if (!page)
      return this.#actions.broken(
        new RangeError(`The VMM waits at host address 0x${address.toString(16)}, which it did not hand over`),
      );
    const { blockId } = page;
    const { pagesPerHostPage } = this.#block(blockId);
    const pgoff = page.pgoff - (page.pgoff % pagesPerHostPage);
    this.#table.add(blockId, pgoff, threadId, nowUs);
    if (this.#armed) this.#supply({ blockId, pgoff });
  }

  /**
   * Before the set is armed no guest instruction has run and no page was placed: what the VMM discards
   * then is its own business, and the guest still needs those pages.
   */
  discarded(uffd: number, start: bigint, end: bigint): void {
    if (!this.#armed) return this.#actions.notice('discardedEarly', { bytes: Number(end - start) });
    for (const { blockId, range } of this.#maps.toRanges(uffd, start, end)) this.giveUp(blockId, range);
  }

  /** Pages that nobody maps any more can never be touched again: they count as given up. */
  unmapped(uffd: number, start: bigint, end: bigint): void {
    const unmapped = this.#maps.unmap(uffd, start, end);
    if (!unmapped) return;
    this.#actions.notice('unmapped', { bytes: Number(end - start) });
    if (unmapped.length > 0 && !this.#armed)
      return this.#actions.broken(new RangeError('The VMM unmapped guest RAM before it was to run'));
    for (const { blockId, range } of unmapped) this.giveUp(blockId, range);
  }

  moved(uffd: number, from: bigint, to: bigint, lengthBytes: bigint): void {
    this.#actions.notice('moved', { bytes: Number(lengthBytes) });
    this.#maps.move(uffd, from, to, lengthBytes);
  }

  forked(uffd: number, childUffd: number): void {
    this.#actions.notice(this.#maps.fork(uffd, childUffd) ? 'forkFollowed' : 'forkIgnored', {});
  }

  turnOver(): void {
    if (this.#armed) this.#sender.flush();
  }

  failed(error: Error): void {
    this.#actions.broken(error);
  }

  /** The guest gave these pages up: what has not arrived counts as removed, and none is filled again. */
  giveUp(blockId: string, range: PageRange): void {
    const block = this.#block(blockId);
    const missing = this.#claimRemoved(block, range);
    let pages = 0;
    for (const each of missing) {
      pages += each.pageCount;
      this.#sender.tellRemoved(blockId, each);
    }
    const unit = block.pagesPerHostPage;
    const end = range.pgoff + range.pageCount;
    for (let first = range.pgoff - (range.pgoff % unit); first < end; first += unit) {
      const whole = { pgoff: first, pageCount: unit };
      if (this.#table.isWaitedFor(blockId, first) && block.removed.hasAll(whole))
        this.#actions.supplyZeros(blockId, whole);
    }
    this.#memory.counters.add('removedPages', pages);
    if (this.#memory.settle(pages)) this.#actions.complete();
  }

  #claimRemoved(block: UmemBlock, range: PageRange): PageRange[] {
    if (block.pagesPerHostPage === 1 || !this.#assembler) {
      block.removed.addRange(range);
      return block.received.addRange(range);
    }
    const { missing, whole } = this.#assembler.giveUp(block, range);
    this.#actions.whole(block.blockId, whole);
    return missing;
  }

  /** See `BatchPlacer` for why pages are marked before they are looked at. */
  #supply({ blockId, pgoff }: WaitedFor): void {
    const block = this.#block(blockId);
    const hostPage = Math.floor(pgoff / block.pagesPerHostPage);
    const range = rangeOf(block, hostPage);
    const first = block.requested.addRange(range).length > 0;
    // A page that was placed and is waited for was placed after the fault, or thrown out without a word.
    if (block.removed.hasAll(range) || block.placed.hasAll(range)) this.#actions.supplyZeros(blockId, range);
    // What is received and not placed is on its way to memory: that wakes whoever waits.
    else if (block.pagesPerHostPage > 1) this.hostPages.add(block, hostPage);
    else if (first && !block.received.has(pgoff)) this.#sender.ask({ blockId, pgoff });
  }

  #block(blockId: string): UmemBlock {
    const block = this.#memory.blocks.get(blockId);
    if (!block) throw new RangeError(`Unknown block "${blockId}"`);
    return block;
  }
}
