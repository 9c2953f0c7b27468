/** One TICK line of the test guest: its own view of its life. */
export interface Tick {
  /** Counts from 1 without a gap, across migrations too. */
  readonly number: number;
  /** Pages verified so far. */
  readonly ops: number;
  /** Pages that were not as expected, so far. */
  readonly mismatches: number;
  /** Longest visit of a page since the tick before, in microseconds of guest time. */
  readonly worstUs: number;
  /** Times that the whole working set was verified. */
  readonly sweeps: number;
  /** Disk blocks verified so far. */
  readonly diskOps: number;
}

const LINE =
  /TICK (?<number>\d+) ops=(?<ops>\d+) mismatches=(?<mismatches>\d+) worst_us=(?<worst>\d+) sweeps=(?<sweeps>\d+) disk_ops=(?<disk>\d+)\r?\n/g;

/** Finds the complete TICK lines of a serial console. */
export function parseTicks(console: string): Tick[] {
  return [...console.matchAll(LINE)].map(({ groups = {} }) => ({
    number: Number(groups['number']),
    ops: Number(groups['ops']),
    mismatches: Number(groups['mismatches']),
    worstUs: Number(groups['worst']),
    sweeps: Number(groups['sweeps']),
    diskOps: Number(groups['disk']),
  }));
}

/** How a person reads it. */
export function formatTick(tick: Tick): string {
  return `TICK ${tick.number}  ops=${tick.ops}  mismatches=${tick.mismatches}  worst_us=${tick.worstUs}`;
}

/**
 * What is wrong with the ticks of a guest's whole life, or null: numbers without a gap or a
 * repetition, no mismatch, and counters that never go back.
 */
export function findTickFault(ticks: readonly Tick[]): string | null {
  let before: Tick | null = null;
  for (const tick of ticks) {
    if (tick.mismatches > 0) return `the guest saw ${tick.mismatches} mismatches by tick ${tick.number}`;
    if (before !== null) {
      if (tick.number !== before.number + 1) return `tick ${tick.number} follows tick ${before.number}`;
      if (tick.ops < before.ops) return `tick ${tick.number} has fewer operations than the one before`;
    }
    before = tick;
  }
  return null;
}
