import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One RAM block of a process guest. */
export interface ProcessGuestBlock {
  readonly id: string;
  /** Bytes; a multiple of 4096. */
  readonly sizeBytes: number;
  /** RAM file, made when it does not exist. Without it the block is a memfd. */
  readonly path?: string;
  /** Name of the memfd. Default: the block's id. */
  readonly memfd?: string;
}

/**
 * Which pages the workers use: evenly at random; one after the other; every `stridePages`th; or a few
 * much more than others, which lie in scattered pieces of 1 MiB. The same seed gives the same pages.
 */
export type AccessMode = 'random' | 'sequential' | 'strided' | 'zipf';

/** What the worker threads do; every field has a default. */
export interface ProcessWorkload {
  /** Order of pages. Default 'random'. */
  readonly mode?: AccessMode;
  /** Worker threads, 1 to 1024; the same on both sides of a migration. Default 2. */
  readonly threads?: number;
  /** Bytes, from the start of RAM, that are filled and used. Default: all RAM. */
  readonly workingSetBytes?: number;
  /** Operations out of 100 that rewrite the page after verifying it. Default 30. */
  readonly writePercent?: number;
  /** Pages out of 100 whose bytes all have one value. Default 0. */
  readonly constantPercent?: number;
  /** Pause after each operation, in microseconds. Default 0. */
  readonly thinkUs?: number;
  /** Step of mode 'strided', in pages. Default 17. */
  readonly stridePages?: number;
  /** Milliseconds between two ticks, 10 to 10000. Default 200. */
  readonly tickMs?: number;
  /** Start of all random numbers. Default 1. */
  readonly seed?: number;
}

export interface ProcessGuestOptions {
  readonly name: string;
  /** Existing directory for the sockets. */
  readonly dir: string;
  readonly blocks: readonly ProcessGuestBlock[];
  /** Waits for device state, like QEMU's `-incoming defer`. Default false. */
  readonly incoming?: boolean;
  /** Starts with the workload stopped, like QEMU's `-S`. Default false. */
  readonly paused?: boolean;
  /** Added to this process's environment: LD_PRELOAD, UMEM_RAM, UMEM_HANDOFF. */
  readonly env?: Readonly<Record<string, string>>;
  readonly workload?: ProcessWorkload;
  /** Another build of the guest than this package's own. */
  readonly program?: string;
  /** Where it listens for QMP. Default `<dir>/<name>.qmp`. */
  readonly qmpPath?: string;
}

/** The guest's program, made by this package's build. */
export function processGuestPath(): string {
  return fileURLToPath(new URL('../../dist/umem-process-guest', import.meta.url));
}

export function toQmpPath({ qmpPath, dir, name }: ProcessGuestOptions): string {
  return qmpPath ?? join(dir, `${name}.qmp`);
}

/** A second QMP socket, for whoever started the guest: agents occupy the first. */
export function toControlPath({ dir, name }: ProcessGuestOptions): string {
  return join(dir, `${name}.control`);
}

/** Command line of the guest, without the program. */
export function toProcessGuestArguments(options: ProcessGuestOptions): string[] {
  const { mode, threads, workingSetBytes, writePercent, constantPercent, ...workload } =
    options.workload ?? {};
  const values: [string, string | number | undefined][] = [
    ['--name', options.name],
    // The control socket is the last to listen: then the other does, too.
    ['--qmp', toQmpPath(options)],
    ['--qmp', toControlPath(options)],
    ...options.blocks.map((block): [string, string] => ['--ram', toRam(block)]),
    ['--mode', mode],
    ['--threads', threads],
    ['--working-set', workingSetBytes],
    ['--write-percent', writePercent],
    ['--constant-percent', constantPercent],
    ['--think-us', workload.thinkUs],
    ['--stride', workload.stridePages],
    ['--tick-ms', workload.tickMs],
    ['--seed', workload.seed],
  ];
  return [
    ...(options.incoming === true ? ['--incoming'] : []),
    ...(options.paused === true ? ['--paused'] : []),
    ...values.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)])),
  ];
}

function toRam({ id, sizeBytes, path, memfd }: ProcessGuestBlock): string {
  return `id=${id},size=${sizeBytes},${path === undefined ? `memfd=${memfd ?? id}` : `path=${path}`}`;
}
