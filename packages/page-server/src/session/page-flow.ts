import { monotonicUs } from '../fault/clock.js';
import { FaultHandler, type FaultActions } from '../fault/fault-handler.js';
import { FaultTable, type WaitedFor } from '../fault/fault-table.js';
import { BatchPlacer } from '../place/batch-placer.js';
import type { PendingPlacement } from '../place/pending.js';
import { Placer } from '../place/placer.js';
import { NO_GATE } from '../place/placing-gate.js';
import { splitRemoved } from '../place/removed-pages.js';
import { RetrySet } from '../place/retry-set.js';
import type { UmemMemory } from '../place/umem-memory.js';
import type { WorkerPlacementListener } from '../receive/background-lane.js';
import { PlacedConfirmer } from '../receive/placed-confirmer.js';
import { DemandSender, type RequestLane } from '../request/demand-sender.js';
import { vmmGone, type GuestMemory } from './guest-memory.js';
import type { PageRange } from '@umem/ram';

/** What a flow of pages tells the set it belongs to. */
export interface PageFlowListener extends Pick<FaultActions, 'notice' | 'broken' | 'complete'> {
  /** Too many requests wait and the guest's faults are left unread (true), or they are read again. */
  paused(paused: boolean): void;
  /** Too many pages cannot be placed for now and lanes are to be left unread (true), or read again. */
  choked(choked: boolean): void;
  /** Pages were dropped for want of room: they must be asked for again. */
  dropped(): void;
}

/**
 * The way of pages through one umem set on the main event loop: a fault is read and asked for, what
 * arrives is placed, what the guest gives up is dropped. Knows nothing of states and lanes' lives.
 */
export class PageFlow {
  readonly faults = new FaultTable();
  /** Reads the VMM's events. */
  readonly handler: FaultHandler;
  /** Places what comes over the demand lane. */
  readonly batches: BatchPlacer;
  /** What placing, in other threads, brought about. */
  readonly placement: WorkerPlacementListener;
  /** Confirms what this thread has placed. */
  readonly confirmer = new PlacedConfirmer();
  readonly #memory: UmemMemory;
  readonly #guest: GuestMemory;
  readonly #listener: PageFlowListener;
  readonly #sender: DemandSender;
  readonly #retries: RetrySet;

  constructor(memory: UmemMemory, guest: GuestMemory, listener: PageFlowListener) {
    this.#memory = memory;
    this.#guest = guest;
    this.#listener = listener;
    this.#sender = new DemandSender({
      isWanted: ({ blockId, pgoff }) => !memory.blocks.get(blockId)?.received.has(pgoff),
      crowded: (crowded) => {
        guest.pause(crowded);
        listener.paused(crowded);
      },
    });
    this.handler = new FaultHandler(guest, memory, this.faults, this.#sender, {
      supplyZeros: (blockId, range) => this.batches.settle({ kind: 'zeros', blockId, range }),
      whole: (blockId, hostPages) => {
        for (const hostPage of hostPages) this.batches.settle({ kind: 'host-page', blockId, hostPage });
      },
      complete: () => listener.complete(),
      notice: (what, facts) => listener.notice(what, facts),
      broken: (error) => listener.broken(error),
    });
    this.placement = {
      answered: (blockId, range, atUs) => this.#answer(blockId, range, atUs),
      retry: (pending) => this.#retries.add(pending),
      gone: (pending) => this.#retries.add(pending),
      dropped: () => listener.dropped(),
      complete: () => listener.complete(),
      broken: (error) => listener.broken(error),
    };
    this.batches = new BatchPlacer(memory, new Placer(guest.target), NO_GATE, {
      ...this.placement,
      answered: (blockId, range) => this.#answer(blockId, range, monotonicUs()),
      placed: (blockId, range) => this.confirmer.add(blockId, range),
      gone: (pending) => this.#gone(pending),
    });
    this.#retries = new RetrySet({
      drainEvents: () => guest.drainEvents(),
      settle: (pending) => this.#settleAgain(pending),
      crowded: (crowded) => listener.choked(crowded),
    });
  }

  /** Requests that were read from the guest and not sent to the source. */
  get pendingRequests(): number {
    return this.#sender.pending;
  }

  /** Answers faults from now on, those first that were raised before. */
  arm(): void {
    this.handler.arm();
  }

  /** Asks over `lane` from now on; first for all that somebody waits for. */
  attach(lane: RequestLane): void {
    this.confirmer.attach(lane);
    this.#sender.attach(lane, [...this.#unanswered()]);
  }

  /** Asks for nothing more, but goes on confirming. */
  stopAsking(): void {
    this.#sender.detach();
  }

  /** Keeps requests until there is a lane again. */
  detach(): void {
    this.confirmer.detach();
    this.#sender.detach();
  }

  /** Drops pages of a block that the VMM side gave up. */
  giveUp(blockId: string, pgoffs: readonly number[]): void {
    this.#memory.gate.close();
    try {
      for (const pgoff of pgoffs) this.handler.giveUp(blockId, { pgoff, pageCount: 1 });
    } finally {
      this.#memory.gate.open();
    }
    this.#sender.flush();
  }

  /** Places nothing more that was put off. */
  close(): void {
    this.#retries.close();
    this.detach();
  }

  *#unanswered(): Generator<WaitedFor> {
    for (const page of this.faults.waitedFor())
      if (this.#memory.blocks.get(page.blockId)?.pagesPerHostPage === 1) yield page;
    yield* this.handler.hostPages.unanswered();
  }

  /** Pages are in memory: those run on who wait for them in processes that placing has not woken. */
  #answer(blockId: string, range: PageRange, atUs: number): void {
    if (!this.#guest.wakesByPlacing) this.#guest.wake(blockId, range);
    this.faults.answer(blockId, range, atUs);
    const block = this.#memory.blocks.get(blockId);
    if (block && block.pagesPerHostPage > 1) {
      this.handler.hostPages.done(block, range.pgoff, range.pageCount);
      this.#sender.flush();
    }
  }

  /** Pages that were put off: what the guest has given up since then is not filled any more. */
  #settleAgain(pending: PendingPlacement): void {
    const block = this.#memory.blocks.get(pending.blockId);
    if (!block || pending.kind !== 'pages') return this.batches.settle(pending);
    const { kept, removed } = splitRemoved(block, pending);
    for (const part of kept) this.batches.settle(part);
    for (const { pgoff, pageCount } of removed) {
      for (let page = pgoff; page < pgoff + pageCount; page++)
        if (this.faults.isWaitedFor(block.blockId, page))
          this.batches.settle({
            kind: 'zeros',
            blockId: block.blockId,
            range: { pgoff: page, pageCount: 1 },
          });
      this.#memory.counters.add('removedPages', pageCount);
      if (this.#memory.settle(pageCount)) this.#listener.complete();
    }
  }

  /** Zeros for pages that are mapped no more are nobody's loss; of other pages there is a copy in the guest's use. */
  #gone(pending: PendingPlacement): void {
    if (pending.kind === 'zeros' && !this.#guest.isVmmGone())
      return this.#answer(pending.blockId, pending.range, monotonicUs());
    this.#listener.broken(vmmGone());
  }
}
