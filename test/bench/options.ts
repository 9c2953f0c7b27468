import { parseArgs } from 'node:util';

/** What the benchmark is asked to measure. */
export interface BenchOptions {
  /** Of every scenario; null: as many as each has by itself. */
  readonly rounds: number | null;
  /** Parts of names: scenarios with one of them are measured. None: all. */
  readonly names: readonly string[];
  /** How long peers that stall do so, in milliseconds. */
  readonly stallMs: number;
}

export const USAGE = `Usage: npm run bench -- [options] [NAME…]

Measures every scenario, or those whose name contains a NAME, round by round, and writes
results/bench.json.

  --scenario NAME     the same as NAME; may be given several times
  --rounds N          rounds of every scenario (default: 5; 3 of those about memory)
  --stall-seconds N   how long peers that stall do so (default: 30)
  --list              only show the names`;

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

/** Reads the command line; `list` and `help` only show something. Throws UsageError. */
export function readBenchOptions(args: readonly string[]): BenchOptions | 'list' | 'help' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  if (values.list === true) return 'list';
  const { rounds, scenario = [] } = values;
  return {
    rounds: rounds === undefined ? null : toCount('rounds', rounds),
    names: [...scenario, ...positionals],
    stallMs: toCount('stall-seconds', values['stall-seconds'] ?? '30') * 1000,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        scenario: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        'stall-seconds': { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function toCount(flag: string, text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw new UsageError(`--${flag}: "${text}" is not a number from 1 to 9999`);
  return Number(text);
}
