/** What a guest had done at a moment: ascends in both. */
export interface Progress {
  readonly atUs: number;
  readonly ops: number;
}

/** Long enough to tell a guest that runs from one that got lucky, in microseconds. */
const WINDOW_US = 200_000;

/** Operations per second over all of these; NaN without two moments. */
export function speedOf(progress: readonly Progress[]): number {
  const [first] = progress;
  const last = progress.at(-1);
  if (first === undefined || last === undefined || first === last) return NaN;
  return ((last.ops - first.ops) * 1e6) / (last.atUs - first.atUs);
}

/**
 * Milliseconds from `fromUs` until the guest had, for the first time, a window of 200 ms at `share` of
 * its full speed or better: the start of that window. NaN when it never had.
 */
export function timeToSpeedMs(
  progress: readonly Progress[],
  { fromUs, fullSpeed, share }: { fromUs: number; fullSpeed: number; share: number },
): number {
  for (const [i, { atUs }] of progress.entries()) {
    if (atUs < fromUs) continue;
    const end = progress.findIndex((later) => later.atUs >= atUs + WINDOW_US);
    if (end < 0) return NaN;
    if (speedOf(progress.slice(i, end + 1)) >= fullSpeed * share) return (atUs - fromUs) / 1000;
  }
  return NaN;
}

/** How many milliseconds' worth of work at full speed the guest did not do between the two moments. */
export function lostMs(before: Progress, after: Progress, fullSpeed: number): number {
  return (after.atUs - before.atUs) / 1000 - ((after.ops - before.ops) / fullSpeed) * 1000;
}
