/** What is counted for a umem set, by every thread that receives pages for it. */
export const COUNTERS = [
  'demandPages',
  'backgroundPages',
  'fillPages',
  'duplicatePages',
  /** Arrived when there was no room to keep them until their host page is whole; asked for again. */
  'droppedPages',
  'removedPages',
  'settledPages',
  'wireBytes',
] as const;

export type Counter = (typeof COUNTERS)[number];

/** Counters in memory that threads share. */
export class Counters {
  readonly #values: BigInt64Array;

  /** `buffer`: of another thread's counters, to share them. */
  constructor(readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(COUNTERS.length * 8)) {
    this.#values = new BigInt64Array(buffer);
  }

  /** Adds `amount` and answers with the sum. */
  add(counter: Counter, amount: number): bigint {
    const more = BigInt(amount);
    return Atomics.add(this.#values, COUNTERS.indexOf(counter), more) + more;
  }

  get(counter: Counter): bigint {
    return Atomics.load(this.#values, COUNTERS.indexOf(counter));
  }
}
