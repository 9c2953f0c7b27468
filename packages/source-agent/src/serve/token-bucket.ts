import { TARGET_PAGE_SIZE } from '@umem/ram';

const NS_PER_SECOND = 1e9;

/** What may be sent in one go, as a duration at the full rate: keeps a slow rate even. */
const TURN_SECONDS = 0.05;

/** How much may be sent at once after a pause, as a duration at the full rate. */
const BURST_NS = BigInt(0.02 * NS_PER_SECOND);

/**
 * Limits the bytes per second of all background lanes of a migration together, on whatever thread
 * they run: who sends pays afterwards, and waits until the bucket is out of debt. Demand pages never
 * come here.
 *
 * The shared number is the time at which everything that was paid for is through (in `now`'s clock,
 * which all threads of a process share).
 */
export class TokenBucket {
  readonly #paidUntil: BigInt64Array;

  constructor(
    /** 0: no limit. */
    readonly bytesPerSecond: number,
    /** Of another thread's bucket. */
    readonly share: SharedArrayBuffer = new SharedArrayBuffer(8),
    /** Nanoseconds; only differences count. */
    private readonly now: () => bigint = process.hrtime.bigint,
  ) {
    this.#paidUntil = new BigInt64Array(share);
  }

  /** Pages that should be sent in one go, at least one; Infinity without a limit. */
  pagesPerTurn(): number {
    if (this.bytesPerSecond === 0) return Infinity;
    return Math.max(1, Math.floor((this.bytesPerSecond * TURN_SECONDS) / TARGET_PAGE_SIZE));
  }

  /** Milliseconds until something may be sent; 0 when it may be now. Whole, rounded up. */
  delayMs(): number {
    if (this.bytesPerSecond === 0) return 0;
    const aheadNs = Number(Atomics.load(this.#paidUntil, 0) - this.now());
    return aheadNs <= 0 ? 0 : Math.ceil(aheadNs / 1e6);
  }

  /** Takes what was sent out of the bucket. */
  pay(bytes: number): void {
    if (this.bytesPerSecond === 0) return;
    const costNs = BigInt(Math.round((bytes * NS_PER_SECOND) / this.bytesPerSecond));
    for (;;) {
      const before = Atomics.load(this.#paidUntil, 0);
      const earliest = this.now() - BURST_NS;
      const after = (before > earliest ? before : earliest) + costNs;
      if (Atomics.compareExchange(this.#paidUntil, 0, before, after) === before) return;
    }
  }
}
