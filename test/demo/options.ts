import { parseArgs } from 'node:util';
import { formatBytes, parseBytes } from '@umem/ram';

/** What the demo is asked to show. */
export interface DemoOptions {
  /** RAM of the guest, in bytes. */
  readonly memoryBytes: number;
  /** Part of it that the guest fills and verifies, in bytes. */
  readonly workingSetBytes: number;
  /** False: only faults move pages. */
  readonly background: boolean;
  /** Limit of the background as umemctl takes it; null: none. */
  readonly maxBandwidth: string | null;
  /** One line of JSON on stdout; everything else goes to stderr. */
  readonly json: boolean;
}

export const USAGE = `Usage: npm run demo -- [options]

Moves a running QEMU guest from one set of services to another on this machine.

  --memory SIZE          RAM of the guest (default 512MiB)
  --working-set SIZE     part of it that the guest fills and verifies (default 256MiB)
  --no-background        only faults move pages
  --max-bandwidth RATE   limit of background pages, per second (default: none)
  --json                 end with one line of JSON on stdout`;

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

const MIB = 2 ** 20;
const SMALLEST_MEMORY_BYTES = 128 * MIB;
/** What the guest's kernel and initramfs need beside the working set. */
const GUEST_OVERHEAD_BYTES = 96 * MIB;

/** Reads the command line; null when it asks for help. Throws UsageError. */
export function readDemoOptions(args: readonly string[]): DemoOptions | null {
  const values = parse(args);
  if (values.help === true) return null;
  const options: DemoOptions = {
    memoryBytes: toSize('memory', values.memory ?? '512MiB'),
    workingSetBytes: toSize('working-set', values['working-set'] ?? '256MiB'),
    background: values['no-background'] !== true,
    maxBandwidth: values['max-bandwidth'] ?? null,
    json: values.json === true,
  };
  check(options);
  return options;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        memory: { type: 'string' },
        'working-set': { type: 'string' },
        'no-background': { type: 'boolean' },
        'max-bandwidth': { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function toSize(flag: string, text: string): number {
  try {
    const bytes = parseBytes(text);
    if (bytes % MIB !== 0) throw new RangeError(`${text} is not a whole number of MiB`);
    return bytes;
  } catch (error) {
    throw new UsageError(`--${flag}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function check({ memoryBytes, workingSetBytes, background, maxBandwidth }: DemoOptions): void {
  if (memoryBytes < SMALLEST_MEMORY_BYTES) {
    throw new UsageError(`--memory: the guest needs at least ${formatBytes(SMALLEST_MEMORY_BYTES)}`);
  }
  if (workingSetBytes < MIB || workingSetBytes > memoryBytes - GUEST_OVERHEAD_BYTES) {
    throw new UsageError(
      `--working-set: with ${formatBytes(memoryBytes)} of memory it can be 1 MiB to ` +
        `${formatBytes(memoryBytes - GUEST_OVERHEAD_BYTES)}; the rest is for the guest's kernel`,
    );
  }
  if (!background && maxBandwidth !== null) {
    throw new UsageError('--max-bandwidth limits the background, so it does not go with --no-background');
  }
}
