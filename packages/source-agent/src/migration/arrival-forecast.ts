/** How far back the rate is measured. */
const WINDOW_MS = 5_000;

/** With less than this between the oldest and the newest report there is no rate yet. */
const MIN_SPAN_MS = 300;

interface Report {
  readonly atMs: number;
  readonly remainingPages: number;
}

/** Foretells when the last page arrives, from how fast pages arrived lately. */
export class ArrivalForecast {
  readonly #reports: Report[] = [];

  constructor(private readonly nowMs: () => number = () => performance.now()) {}

  add(remainingPages: number): void {
    const atMs = this.nowMs();
    this.#reports.push({ atMs, remainingPages });
    while (this.#reports.length > 2 && atMs - (this.#reports[0]?.atMs ?? atMs) > WINDOW_MS)
      this.#reports.shift();
  }

  /** Microseconds until every page has arrived; null while unknown. */
  remainingUs(): bigint | null {
    const first = this.#reports[0];
    const last = this.#reports.at(-1);
    if (!first || !last) return null;
    if (last.remainingPages === 0) return 0n;
    const spanMs = last.atMs - first.atMs;
    const arrived = first.remainingPages - last.remainingPages;
    if (spanMs < MIN_SPAN_MS || arrived <= 0) return null;
    const leftMs = (last.remainingPages * spanMs) / arrived - (this.nowMs() - last.atMs);
    return BigInt(Math.max(0, Math.round(leftMs * 1000)));
  }
}
