/** How much had arrived at a moment: ascends in both. */
export interface Arrival {
  readonly atMs: number;
  readonly bytes: number;
}

/** A time in which a limit held. */
export interface LimitedTime {
  readonly fromMs: number;
  readonly toMs: number;
  readonly bytesPerSecond: number;
}

/** How far the windows of a time were from the limit, in percent of it: below 0 is less than it allows. */
export interface Deviation {
  readonly lowestPercent: number;
  readonly highestPercent: number;
}

const WINDOW_MS = 1000;

/**
 * Looks at every window of one second that begins or ends with an arrival and lies within the time.
 * Between two arrivals bytes are taken to have come evenly. NaN when no window fits.
 */
export function deviationOf(arrivals: readonly Arrival[], time: LimitedTime): Deviation {
  const starts = arrivals
    .flatMap(({ atMs }) => [atMs, atMs - WINDOW_MS])
    .filter((start) => start >= time.fromMs && start + WINDOW_MS <= time.toMs);
  const percents = starts.map((start) => {
    const bytes = bytesAt(arrivals, start + WINDOW_MS) - bytesAt(arrivals, start);
    return (bytes / time.bytesPerSecond / (WINDOW_MS / 1000) - 1) * 100;
  });
  if (percents.length === 0) return { lowestPercent: NaN, highestPercent: NaN };
  return { lowestPercent: Math.min(...percents), highestPercent: Math.max(...percents) };
}

/** The largest deviation of several times, in percent, whichever way. */
export function worstOf(deviations: readonly Deviation[]): number {
  return Math.max(
    ...deviations.flatMap((one) => [Math.abs(one.lowestPercent), Math.abs(one.highestPercent)]),
  );
}

/** NaN outside of what is known. */
function bytesAt(arrivals: readonly Arrival[], atMs: number): number {
  const next = arrivals.findIndex((arrival) => arrival.atMs >= atMs);
  const after = arrivals[next];
  if (after === undefined) return NaN;
  if (after.atMs === atMs) return after.bytes;
  const before = arrivals[next - 1];
  if (before === undefined) return NaN;
  const share = (atMs - before.atMs) / (after.atMs - before.atMs);
  return before.bytes + share * (after.bytes - before.bytes);
}
