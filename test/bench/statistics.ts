import type { Measurement } from './scenario.js';

/** A metric over all rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Summaries of every metric of the rounds; all rounds have the same metrics. */
export function summarize(rounds: readonly Measurement[]): Readonly<Record<string, Summary>> {
  const [first = {}] = rounds;
  return Object.fromEntries(
    Object.keys(first).map((metric) => [
      metric,
      summarizeValues(rounds.map((round) => round[metric] ?? NaN)),
    ]),
  );
}

function summarizeValues(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: medianOf(sorted), min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN };
}

function medianOf(sorted: readonly number[]): number {
  const middle = (sorted.length - 1) / 2;
  const low = sorted[Math.floor(middle)] ?? NaN;
  const high = sorted[Math.ceil(middle)] ?? NaN;
  return (low + high) / 2;
}
