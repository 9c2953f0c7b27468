import type { Measurement } from './scenario.js';

/** A metric over all rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Summaries by metric. */
export type Summaries = Readonly<Record<string, Summary>>;

/** Summaries of every metric of the rounds; all rounds have the same metrics. */
export function summarize(rounds: readonly Measurement[]): Summaries {
  const [first = {}] = rounds;
  return Object.fromEntries(
    Object.keys(first).map((metric) => [
      metric,
      summarizeValues(rounds.map((round) => round[metric] ?? NaN)),
    ]),
  );
}

/**
 * Medians of a scenario divided by those of its baseline, for the metrics that both have. NaN where
 * the baseline has 0.
 */
export function ratios(summaries: Summaries, baseline: Summaries): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(summaries).flatMap(([metric, { median }]) => {
      const base = baseline[metric]?.median;
      return base === undefined ? [] : [[metric, base === 0 ? NaN : median / base]];
    }),
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
