import type { ThreadBlockedTime } from '@umem/api';

/** Threads that are shown. */
const SHOWN = 64;
/** Threads that are remembered; a VMM's I/O threads come and go. */
const REMEMBERED = 4096;

interface Blocked {
  faults: number;
  blockedUs: number;
}

/** How long each guest thread waited for pages. */
export class BlockedThreads {
  readonly #threads = new Map<number, Blocked>();

  add(threadId: number, blockedUs: number): void {
    const known = this.#threads.get(threadId);
    if (known) {
      known.faults++;
      known.blockedUs += blockedUs;
      return;
    }
    if (this.#threads.size >= REMEMBERED) this.#forget();
    this.#threads.set(threadId, { faults: 1, blockedUs });
  }

  /** Those that waited longest, longest first. */
  toMessages(): ThreadBlockedTime[] {
    return this.#longestFirst()
      .slice(0, SHOWN)
      .map(([threadId, { faults, blockedUs }]) => ({
        threadId,
        faults: BigInt(faults),
        blockedUs: BigInt(Math.round(blockedUs)),
      }));
  }

  /** Drops the half that waited least. */
  #forget(): void {
    for (const [threadId] of this.#longestFirst().slice(REMEMBERED / 2)) this.#threads.delete(threadId);
  }

  #longestFirst(): [number, Blocked][] {
    return [...this.#threads].sort(([, a], [, b]) => b.blockedUs - a.blockedUs);
  }
}
