/** What was sent to one page server so far. */
export interface SendCounts {
  /** Pages sent because they were demanded, repetitions included. */
  readonly demandPages: number;
  /** Pages pushed, or sent because of a BACKGROUND request. */
  readonly backgroundPages: number;
  /** Of both, pages that travelled as FILL. */
  readonly fillPages: number;
  /** Bytes of batches, to within a few per run. */
  readonly wireBytes: number;
  /** Pages that the guest gave up. */
  readonly removedPages: number;
  /** Pages that were freed here because they are in place there. */
  readonly releasedPages: number;
}

const FIELDS = [
  'demandPages',
  'backgroundPages',
  'fillPages',
  'wireBytes',
  'removedPages',
  'releasedPages',
] as const;

/** Counters that lanes on all threads add to. */
export class SendCounters {
  readonly #values: BigInt64Array;

  /** `share`: of another thread's. */
  constructor(readonly share: SharedArrayBuffer = new SharedArrayBuffer(FIELDS.length * 8)) {
    this.#values = new BigInt64Array(share);
  }

  add(field: keyof SendCounts, count: number): void {
    Atomics.add(this.#values, FIELDS.indexOf(field), BigInt(count));
  }

  read(): SendCounts {
    const entries = FIELDS.map((field, i) => [field, Number(Atomics.load(this.#values, i))] as const);
    return Object.fromEntries(entries) as Record<keyof SendCounts, number>;
  }
}
