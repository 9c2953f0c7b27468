/** Measures consecutive parts of the guest's pause, in microseconds. */
export class DowntimeClock {
  #lap: bigint;
  #totalUs = 0n;

  constructor(private readonly now: () => bigint = process.hrtime.bigint) {
    this.#lap = now();
  }

  /** All laps together. */
  get totalUs(): bigint {
    return this.#totalUs;
  }

  /** Since the last call, or the beginning. */
  lapUs(): bigint {
    const now = this.now();
    const lapUs = (now - this.#lap) / 1000n;
    this.#lap = now;
    this.#totalUs += lapUs;
    return lapUs;
  }
}
