import type { PageRange } from '@umem/ram';
import { BlockedThreads } from './blocked-threads.js';
import { LatencyHistogram } from './latency-histogram.js';

/** A guest thread that waits for a page. */
interface Waiter {
  readonly threadId: number;
  readonly sinceUs: number;
}

/** A page that a guest thread waits for. */
export interface WaitedFor {
  readonly blockId: string;
  readonly pgoff: number;
}

/**
 * The faults of one VMM that are not answered yet, and how long those took that are. Main event loop
 * only.
 */
export class FaultTable {
  readonly #waiting = new Map<string, Map<number, Waiter[]>>();
  readonly latency = new LatencyHistogram();
  readonly blocked = new BlockedThreads();
  #faults = 0;

  /** Faults in all, answered or not. */
  get faults(): number {
    return this.#faults;
  }

  add(blockId: string, pgoff: number, threadId: number, nowUs: number): void {
    this.#faults++;
    const pages = this.#waiting.get(blockId) ?? new Map<number, Waiter[]>();
    this.#waiting.set(blockId, pages);
    const waiter = { threadId, sinceUs: nowUs };
    const waiters = pages.get(pgoff);
    if (waiters) waiters.push(waiter);
    else pages.set(pgoff, [waiter]);
  }

  isWaitedFor(blockId: string, pgoff: number): boolean {
    return this.#waiting.get(blockId)?.has(pgoff) ?? false;
  }

  /** The pages of a range are there: whoever waited for them runs again. */
  answer(blockId: string, { pgoff, pageCount }: PageRange, nowUs: number): void {
    const pages = this.#waiting.get(blockId);
    if (!pages || pages.size === 0) return;
    for (let page = pgoff; page < pgoff + pageCount; page++) {
      const waiters = pages.get(page);
      if (!waiters) continue;
      pages.delete(page);
      for (const { threadId, sinceUs } of waiters) {
        this.latency.add(nowUs - sinceUs);
        this.blocked.add(threadId, Math.max(0, nowUs - sinceUs));
      }
    }
  }

  /** Pages that somebody waits for, in the order of the faults within each block. */
  *waitedFor(): Generator<WaitedFor> {
    for (const [blockId, pages] of this.#waiting) for (const pgoff of pages.keys()) yield { blockId, pgoff };
  }
}
