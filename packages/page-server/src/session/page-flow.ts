import { monotonicUs } from '../fault/clock.js';
import { FaultHandler, type FaultActions } from '../fault/fault-handler.js';
import { FaultTable, type WaitedFor } from '../fault/fault-table.js';
import { BatchPlacer, type PendingPlacement } from '../place/batch-placer.js';
import { Placer } from '../place/placer.js';
import { splitRemoved } from '../place/removed-pages.js';
import { RetrySet } from '../place/retry-set.js';
import type { UmemMemory } from '../place/umem-memory.js';
import type { WorkerPlacementListener } from '../receive/background-lane.js';
import { DemandSender, type RequestLane } from '../request/demand-sender.js';
import { vmmGone, type GuestMemory } from './guest-memory.js';

/** What a flow of pages tells the set it belongs to. */
export interface PageFlowListener extends Pick<FaultActions, 'notice' | 'broken' | 'complete'> {
  /** Too many requests wait and the guest's faults are left unread (true), or they are read again. */
  paused(paused: boolean): void;
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
  /** What placing, in any thread, brought about. */
  readonly placement: WorkerPlacementListener;
  readonly #memory: UmemMemory;
  readonly #guest: GuestMemory;
  readonly #listener: PageFlowListener;
  readonly #placer: Placer;
  readonly #sender: DemandSender;
  readonly #retries: RetrySet;

  constructor(memory: UmemMemory, guest: GuestMemory, listener: PageFlowListener) {
    this.#memory = memory;
    this.#guest = guest;
    this.#listener = listener;
    this.#placer = new Placer(guest.map, guest.uffds);
    this.#sender = new DemandSender({
      isWanted: ({ blockId, pgoff }) => !memory.blocks.get(blockId)?.received.has(pgoff),
      crowded: (crowded) => {
        guest.pause(crowded);
        listener.paused(crowded);
      },
    });
    this.handler = new FaultHandler(guest.map, memory, this.faults, this.#sender, {
      wake: (page) => this.#wake(page),
      supplyZeros: (page) => this.#supplyZeros(page),
      complete: () => listener.complete(),
      notice: (what, facts) => listener.notice(what, facts),
      broken: (error) => listener.broken(error),
    });
    this.placement = {
      answered: (blockId, range, atUs) => this.faults.answer(blockId, range, atUs),
      retry: (pending) => this.#retries.add(pending),
      complete: () => listener.complete(),
      gone: () => listener.broken(vmmGone()),
      broken: (error) => listener.broken(error),
    };
    this.batches = new BatchPlacer(memory, this.#placer, {
      ...this.placement,
      answered: (blockId, range) => this.faults.answer(blockId, range, monotonicUs()),
    });
    this.#retries = new RetrySet({
      drainEvents: () => guest.drainEvents(),
      settle: (pending) => this.#settleAgain(pending),
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
    this.#sender.attach(lane, [...this.faults.waitedFor()]);
  }

  /** Keeps requests until there is a lane again. */
  detach(): void {
    this.#sender.detach();
  }

  /** Drops pages of a block that the VMM side gave up. */
  giveUp(blockId: string, pgoffs: readonly number[]): void {
    for (const pgoff of pgoffs) this.handler.giveUp(blockId, { pgoff, pageCount: 1 });
    this.#sender.flush();
  }

  /** Places nothing more that was put off. */
  close(): void {
    this.#retries.close();
    this.#sender.detach();
  }

  /** A page that is claimed and on its way is waked for too: its waiter faults again and is told again. */
  #wake({ blockId, pgoff }: WaitedFor): void {
    // Nobody is left to be waked, and nothing to wake through.
    if (this.#guest.isClosed) return;
    const range = { pgoff, pageCount: 1 };
    this.#placer.wake(blockId, range);
    this.faults.answer(blockId, range, monotonicUs());
  }

  #supplyZeros({ blockId, pgoff }: WaitedFor): void {
    const content = { kind: 'fill', value: 0 } as const;
    // Marked, so that placing it is told to those who wait.
    this.#memory.blocks.get(blockId)?.requested.add(pgoff);
    this.batches.settle({ blockId, range: { pgoff, pageCount: 1 }, content, countAs: null });
  }

  /** Pages that were put off: what the guest has given up since then is not filled any more. */
  #settleAgain(pending: PendingPlacement): void {
    const block = this.#memory.blocks.get(pending.blockId);
    if (!block || pending.countAs === null) return this.batches.settle(pending);
    const { kept, removed } = splitRemoved(block, pending);
    for (const part of kept) this.batches.settle(part);
    for (const { pgoff, pageCount } of removed) {
      for (let page = pgoff; page < pgoff + pageCount; page++)
        if (this.faults.isWaitedFor(block.blockId, page))
          this.#supplyZeros({ blockId: block.blockId, pgoff: page });
      this.#memory.counters.add('removedPages', pageCount);
      if (this.#memory.settle(pageCount)) this.#listener.complete();
    }
  }
}
