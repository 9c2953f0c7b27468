import { setTimeout as delay } from 'node:timers/promises';

/** Doubling pauses with jitter: half of each pause is random, so that many clients spread out. */
export class Backoff {
  #next: number;

  constructor(
    private readonly firstMs: number,
    private readonly maxMs: number,
  ) {
    this.#next = firstMs;
  }

  reset(): void {
    this.#next = this.firstMs;
  }

  /** Waits for the next pause, at most `limitMs`; returns early when aborted. */
  async wait(signal: AbortSignal, limitMs = Infinity): Promise<void> {
    const pauseMs = Math.min(this.#next * (0.5 + Math.random() / 2), limitMs);
    this.#next = Math.min(this.#next * 2, this.maxMs);
    // An abort ends the pause; the caller looks at the signal.
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}
