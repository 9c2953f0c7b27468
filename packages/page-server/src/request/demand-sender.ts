import { toPageListRequests, toRemoveRequests, type UmemRequest } from '@umem/api';
import { MAX_PGOFFS_PER_MESSAGE, type PageRange } from '@umem/ram';
import type { WaitedFor } from '../fault/fault-table.js';
import { DemandQueue, MAX_PENDING_REQUESTS } from './demand-queue.js';

/** The demand lane, as the sender uses it. */
export interface RequestLane {
  /** False: the next request waits for `onDrain`. */
  write(request: UmemRequest): boolean;
  onDrain(listener: () => void): void;
}

/** Ranges of given-up pages that may wait; what is more goes untold. */
const MAX_PENDING_REMOVALS = 4096;
/** Pages of one command with its continuations: nothing may come between those. */
const MAX_PAGES_AT_ONCE = 4 * MAX_PGOFFS_PER_MESSAGE;

export interface DemandSenderSettings {
  /** False for pages that need not be asked for any more. */
  isWanted(page: WaitedFor): boolean;
  /** Guest faults should not be read (true) until told otherwise (false). */
  crowded(isCrowded: boolean): void;
  /** Pages that may wait unsent. Default MAX_PENDING_REQUESTS. */
  maxPending?: number;
}

/**
 * Sends what faults ask for, as soon as the demand lane takes it: the faults of one turn of the event
 * loop go out together. Without a lane everything waits here.
 */
export class DemandSender {
  readonly #settings: DemandSenderSettings;
  readonly #maxPending: number;
  readonly #queue = new DemandQueue();
  readonly #removals: { readonly blockId: string; readonly range: PageRange }[] = [];
  #lane: RequestLane | null = null;
  #waitsForDrain = false;
  #crowded = false;

  constructor(settings: DemandSenderSettings) {
    this.#settings = settings;
    this.#maxPending = settings.maxPending ?? MAX_PENDING_REQUESTS;
  }

  /** Pages that wait unsent. */
  get pending(): number {
    return this.#queue.size;
  }

  /** Takes a page to the next `flush`. */
  ask(page: WaitedFor): void {
    this.#queue.push(page);
  }

  /** Takes given-up pages to the next `flush`. */
  tellRemoved(blockId: string, range: PageRange): void {
    // Telling only saves the source work: it may send a removed page, which is then dropped.
    if (this.#removals.length < MAX_PENDING_REMOVALS) this.#removals.push({ blockId, range });
  }

  /**
   * Sends over `lane` from now on. `waitedFor`: what a lane before it may have been asked for and not
   * answered; INIT has told the source what was removed.
   */
  attach(lane: RequestLane, waitedFor: Iterable<WaitedFor>): void {
    this.#lane = lane;
    this.#waitsForDrain = false;
    this.#queue.replace(waitedFor);
    this.#removals.length = 0;
    this.flush();
  }

  /** Keeps everything until the next lane. */
  detach(): void {
    this.#lane = null;
  }

  /** Sends what the lane takes, and looks whether too much waits. */
  flush(): void {
    const lane = this.#lane;
    while (lane && !this.#waitsForDrain) {
      const requests = this.#next();
      if (requests.length === 0) break;
      let writable = true;
      for (const request of requests) writable = lane.write(request);
      if (!writable) this.#awaitDrain(lane);
    }
    this.#look();
  }

  /** Demand first, then removals. */
  #next(): UmemRequest[] {
    for (let run = this.#queue.take(MAX_PAGES_AT_ONCE); run; run = this.#queue.take(MAX_PAGES_AT_ONCE)) {
      const { blockId } = run;
      const wanted = run.pgoffs.filter((pgoff) => this.#settings.isWanted({ blockId, pgoff }));
      if (wanted.length > 0) return toPageListRequests('onDemand', blockId, wanted);
    }
    const removal = this.#removals[0];
    if (!removal) return [];
    const { blockId, range } = removal;
    const count = Math.min(range.pageCount, MAX_PGOFFS_PER_MESSAGE);
    if (count === range.pageCount) this.#removals.shift();
    else
      this.#removals[0] = {
        blockId,
        range: { pgoff: range.pgoff + count, pageCount: range.pageCount - count },
      };
    return toRemoveRequests(
      blockId,
      Array.from({ length: count }, (_, i) => range.pgoff + i),
    );
  }

  #awaitDrain(lane: RequestLane): void {
    this.#waitsForDrain = true;
    lane.onDrain(() => {
      if (this.#lane !== lane) return;
      this.#waitsForDrain = false;
      this.flush();
    });
  }

  #look(): void {
    const crowded = this.pending > (this.#crowded ? 0 : this.#maxPending);
    if (crowded === this.#crowded) return;
    this.#crowded = crowded;
    this.#settings.crowded(crowded);
  }
}
