import type { WaitedFor } from '../fault/fault-table.js';

/** Requests that may wait unsent before faults are left unread: twice the original's request ring. */
export const MAX_PENDING_REQUESTS = 2 * 33_280;

/** Pages of one block that were asked for one after the other. */
export interface DemandRun {
  readonly blockId: string;
  readonly pgoffs: readonly number[];
}

/** Pages that faults asked for and that are not sent to the source yet, oldest first. */
export class DemandQueue {
  #pages: WaitedFor[] = [];
  /** Pages before this one are taken. */
  #head = 0;

  get size(): number {
    return this.#pages.length - this.#head;
  }

  push(page: WaitedFor): void {
    this.#pages.push(page);
  }

  /** Puts other pages in the place of all that wait. */
  replace(pages: Iterable<WaitedFor>): void {
    this.#pages = [...pages];
    this.#head = 0;
  }

  /** Takes the oldest pages as long as they are of one block, at most `max`; null when none waits. */
  take(max: number): DemandRun | null {
    const first = this.#pages[this.#head];
    if (!first) return null;
    const pgoffs: number[] = [];
    for (let next: WaitedFor | undefined = first; next?.blockId === first.blockId && pgoffs.length < max;) {
      pgoffs.push(next.pgoff);
      this.#head++;
      next = this.#pages[this.#head];
    }
    // Taken pages are let go in bulk, so that taking stays cheap.
    if (this.#head > 1024 && this.#head * 2 > this.#pages.length) {
      this.#pages = this.#pages.slice(this.#head);
      this.#head = 0;
    }
    return { blockId: first.blockId, pgoffs };
  }
}
