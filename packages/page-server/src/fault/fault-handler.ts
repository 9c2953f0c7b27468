import { native } from '@umem/native';
import type { PageRange } from '@umem/ram';
import type { RegionMap } from '../handoff/region-map.js';
import type { UmemBlock, UmemMemory } from '../place/umem-memory.js';
import type { DemandSender } from '../request/demand-sender.js';
import type { FaultListener } from './fault-reader.js';
import type { FaultTable, WaitedFor } from './fault-table.js';

/** What the handler decides and others do. */
export interface FaultActions {
  /** The page is in memory: let whoever waits for it run. */
  wake(page: WaitedFor): void;
  /** The guest gave the page up and touches it again: it reads as zeros. */
  supplyZeros(page: WaitedFor): void;
  /** The last missing page was given up. */
  complete(): void;
  /** Something happened that does not stop anything but that a person should know. */
  notice(what: 'discardedEarly' | 'unmapped' | 'forked', facts: Record<string, unknown>): void;
  /** The set cannot go on. */
  broken(error: unknown): void;
}

/** Faults of pages that are no block's are rounded down to this. */
const PAGE_MASK = ~4095n;

/**
 * Decides what each event of the VMM means. Until the set is armed, faults are only written down: the
 * guest waits. Main event loop only.
 */
export class FaultHandler implements FaultListener {
  readonly #map: RegionMap;
  readonly #memory: UmemMemory;
  readonly #table: FaultTable;
  readonly #sender: DemandSender;
  readonly #actions: FaultActions;
  #armed = false;

  constructor(
    map: RegionMap,
    memory: UmemMemory,
    table: FaultTable,
    sender: DemandSender,
    actions: FaultActions,
  ) {
    this.#map = map;
    this.#memory = memory;
    this.#table = table;
    this.#sender = sender;
    this.#actions = actions;
  }

  /** Answers faults from now on, those first that were raised before. */
  arm(): void {
    this.#armed = true;
    for (const page of [...this.#table.waitedFor()]) this.#supply(page);
    this.#sender.flush();
  }

  fault(uffd: number, address: bigint, threadId: number, nowUs: number): void {
    const page = this.#map.toPage(uffd, address & PAGE_MASK);
    if (!page)
      return this.#actions.broken(
        new RangeError(`The VMM waits at host address 0x${address.toString(16)}, which it did not hand over`),
      );
    this.#table.add(page.blockId, page.pgoff, threadId, nowUs);
    if (this.#armed) this.#supply(page);
  }

  /**
   * Before the set is armed no guest instruction has run and no page was placed: what the VMM discards
   * then is its own business, and the guest still needs those pages.
   */
  discarded(uffd: number, start: bigint, end: bigint): void {
    if (!this.#armed) return this.#actions.notice('discardedEarly', { bytes: Number(end - start) });
    for (const { blockId, range } of this.#map.toRanges(uffd, start, end)) this.giveUp(blockId, range);
  }

  /** Unmapped pages can never be touched again: they count as given up. */
  unmapped(uffd: number, start: bigint, end: bigint): void {
    this.#actions.notice('unmapped', { bytes: Number(end - start) });
    for (const { blockId, range } of this.#map.toRanges(uffd, start, end)) this.giveUp(blockId, range);
  }

  moved(_uffd: number, from: bigint, to: bigint): void {
    this.#actions.broken(
      new RangeError(
        `The VMM moved guest RAM from 0x${from.toString(16)} to 0x${to.toString(16)}: its pages cannot be placed any more`,
      ),
    );
  }

  /** A VMM's child shares the RAM file, not the guest: it is not served. */
  forked(_uffd: number, childUffd: number): void {
    native.closeFd(childUffd);
    this.#actions.notice('forked', {});
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
    block.removed.addRange(range);
    let pages = 0;
    for (const missing of block.received.addRange(range)) {
      pages += missing.pageCount;
      this.#sender.tellRemoved(blockId, missing);
    }
    for (let pgoff = range.pgoff; pgoff < range.pgoff + range.pageCount; pgoff++)
      if (this.#table.isWaitedFor(blockId, pgoff)) this.#actions.supplyZeros({ blockId, pgoff });
    this.#memory.counters.add('removedPages', pages);
    if (this.#memory.settle(pages)) this.#actions.complete();
  }

  /** See `BatchPlacer` for why the page is marked before it is looked at. */
  #supply(page: WaitedFor): void {
    const block = this.#block(page.blockId);
    const first = block.requested.add(page.pgoff);
    if (block.removed.has(page.pgoff)) this.#actions.supplyZeros(page);
    else if (block.received.has(page.pgoff)) this.#actions.wake(page);
    else if (first) this.#sender.ask(page);
  }

  #block(blockId: string): UmemBlock {
    const block = this.#memory.blocks.get(blockId);
    if (!block) throw new RangeError(`Unknown block "${blockId}"`);
    return block;
  }
}
