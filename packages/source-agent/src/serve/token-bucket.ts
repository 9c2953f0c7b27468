import { TARGET_PAGE_SIZE } from '@umem/ram';

const NS_PER_SECOND = 1e9;

/**
 * What may be sent in one go, as a duration at the full rate. With BURST_NS it bounds what any second
 * can hold: 1 s + 30 ms + 10 ms worth, 4 % above the rate.
 */
const TURN_SECONDS = 0.01;

/**
 * How much may be sent at once after a pause, as a duration at the full rate: what a thread that is
 * woken late makes up for.
 */
const BURST_NS = BigInt(0.03 * NS_PER_SECOND);

/** Longest time that is slept without another look, in milliseconds: timers take no more. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** What the threads share: positions in the buffer. */
const PAID_UNTIL = 0;
const RATE = 1;

/**
 * Limits the bytes per second of all background lanes of a migration together, on whatever thread
 * they run: a turn is paid for when it is taken, and nothing may be taken until the last one is
 * through. Demand pages never come here.
 *
 * Shared are the time at which everything that was paid for is through (in `now`'s clock, which all
 * threads of a process share) and the rate.
 */
export class TokenBucket {
  readonly #shared: BigInt64Array;

  constructor(
    /** Of another thread's bucket. */
    readonly share: SharedArrayBuffer = new SharedArrayBuffer(16),
    /** Nanoseconds; only differences count. */
    private readonly now: () => bigint = process.hrtime.bigint,
  ) {
    this.#shared = new BigInt64Array(share);
  }

  /** A bucket with a rate in bytes per second; 0: no limit. */
  static create(bytesPerSecond: number, now?: () => bigint): TokenBucket {
    const bucket = new TokenBucket(undefined, now);
    Atomics.store(bucket.#shared, RATE, BigInt(bytesPerSecond));
    return bucket;
  }

  /** 0: no limit. */
  get bytesPerSecond(): number {
    return Number(Atomics.load(this.#shared, RATE));
  }

  /** From now on the rate is another one, for all threads. What was paid for ahead is forgotten. */
  setRate(bytesPerSecond: number): void {
    Atomics.store(this.#shared, RATE, BigInt(bytesPerSecond));
    // At the old rate it may reach far into the future; it is no more than a turn's worth.
    Atomics.store(this.#shared, PAID_UNTIL, this.now());
  }

  /** Pages that should be sent in one go, at least one; Infinity without a limit. */
  pagesPerTurn(): number {
    const rate = this.bytesPerSecond;
    if (rate === 0) return Infinity;
    return Math.max(1, Math.floor((rate * TURN_SECONDS) / TARGET_PAGE_SIZE));
  }

  /** Milliseconds until something may be taken; 0 when it may be now. Whole, rounded up. */
  delayMs(): number {
    if (this.bytesPerSecond === 0) return 0;
    const aheadNs = Number(Atomics.load(this.#shared, PAID_UNTIL) - this.now());
    return aheadNs <= 0 ? 0 : Math.min(LONGEST_DELAY_MS, Math.ceil(aheadNs / 1e6));
  }

  /**
   * Takes bytes out of the bucket, if it is not in debt; false when somebody has to wait first. Of
   * several threads that look at once only one gets its turn.
   */
  take(bytes: number): boolean {
    const rate = this.bytesPerSecond;
    if (rate === 0) return true;
    for (;;) {
      const before = Atomics.load(this.#shared, PAID_UNTIL);
      const now = this.now();
      if (before > now) return false;
      const earliest = now - BURST_NS;
      const after = (before > earliest ? before : earliest) + toNs(bytes, rate);
      if (Atomics.compareExchange(this.#shared, PAID_UNTIL, before, after) === before) return true;
    }
  }

  /** Corrects what `take` took to what was sent; `bytes` is what was taken too much, or below 0 too little. */
  giveBack(bytes: number): void {
    const rate = this.bytesPerSecond;
    if (rate !== 0 && bytes !== 0) Atomics.sub(this.#shared, PAID_UNTIL, toNs(bytes, rate));
  }
}

function toNs(bytes: number, bytesPerSecond: number): bigint {
  return BigInt(Math.round((bytes * NS_PER_SECOND) / bytesPerSecond));
}
