/**
 * A value that many may follow, each at its own pace: a follower that is slow skips what it missed
 * and never makes anything queue.
 */
export class Watchable<T> {
  #value: T;
  #version = 0;
  #ended = false;
  readonly #waiting = new Set<() => void>();

  constructor(initial: T) {
    this.#value = initial;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    this.#value = value;
    this.notify();
  }

  /** Tells all followers that the value, or something in it, has changed. */
  notify(): void {
    this.#version++;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Ends all followers after they have seen the value as it is now. Followers that come later see it once. */
  end(): void {
    this.#ended = true;
    this.notify();
  }

  /**
   * The value at once, after each change, and every `intervalMs`; until `end` or until `signal` is
   * aborted, which is not an error.
   */
  async *subscribe(intervalMs: number, signal: AbortSignal): AsyncGenerator<T, void, void> {
    while (!signal.aborted) {
      const seen = this.#version;
      const last = this.#ended;
      yield this.#value;
      if (last) return;
      if (this.#version === seen) await this.#change(intervalMs, signal);
    }
  }

  /** Resolves at the next change, after `intervalMs`, or when `signal` is aborted. */
  #change(intervalMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, intervalMs);
      signal.addEventListener('abort', done, { once: true });
      this.#waiting.add(done);
    });
  }
}
