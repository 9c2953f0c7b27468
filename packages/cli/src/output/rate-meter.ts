const WINDOW_MS = 3_000;

/** Speed of a growing count over the last three seconds. */
export class RateMeter {
  readonly #samples: { atMs: number; count: number }[] = [];

  /** Adds a reading; `atMs` is of a monotonic clock. */
  add(atMs: number, count: number): void {
    const last = this.#samples.at(-1);
    // A count that falls belongs to another connection of the page server: begin again.
    if (last && count < last.count) this.#samples.length = 0;
    this.#samples.push({ atMs, count });
    while (this.#samples.length > 2 && (this.#samples[1]?.atMs ?? atMs) <= atMs - WINDOW_MS)
      this.#samples.shift();
  }

  /** Per second; null until two readings tell. */
  get perSecond(): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.atMs <= first.atMs) return null;
    return ((last.count - first.count) * 1000) / (last.atMs - first.atMs);
  }
}
