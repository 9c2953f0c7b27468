import { readFile } from 'node:fs/promises';
import type { Measurement } from './scenario.js';

const INTERVAL_MS = 100;
const KIB_PER_MIB = 1024;

/** What a process holds, in MiB. proc(5), status. */
export interface MemoryUse {
  readonly rssMiB: number;
  /** Of that, what is its own and not a file's. */
  readonly anonMiB: number;
}

export async function memoryOf(pid: number): Promise<MemoryUse> {
  return parseStatus(await readFile(`/proc/${pid}/status`, 'utf8'));
}

export function parseStatus(status: string): MemoryUse {
  const mib = (field: string): number => {
    const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    return kib === undefined ? NaN : Number(kib) / KIB_PER_MIB;
  };
  return { rssMiB: mib('VmRSS'), anonMiB: mib('RssAnon') };
}

/** Looks at a process's memory ten times a second. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #before: MemoryUse;
  readonly #timer: NodeJS.Timeout;
  #max: MemoryUse;
  #failure: Error | null = null;

  private constructor(pid: number, before: MemoryUse) {
    this.#pid = pid;
    this.#before = this.#max = before;
    this.#timer = setInterval(() => {
      this.#look().catch((cause: unknown) => {
        this.#failure ??= new Error(`The memory of process ${pid} cannot be read`, { cause });
      });
    }, INTERVAL_MS);
  }

  /** What it has now is what it had before. */
  static async start(pid: number): Promise<MemoryWatch> {
    return new MemoryWatch(pid, await memoryOf(pid));
  }

  /** Ends looking. Idempotent. Throws when a look failed: the process has ended. */
  stop(): void {
    clearInterval(this.#timer);
    if (this.#failure !== null) throw this.#failure;
  }

  /** `<name>Rss…` before, at most while it was watched, and now; of anonymous memory the growth. */
  async measure(name: string): Promise<Measurement> {
    const now = await memoryOf(this.#pid);
    return {
      [`${name}RssBeforeMiB`]: this.#before.rssMiB,
      [`${name}RssMaxMiB`]: this.#max.rssMiB,
      [`${name}RssAfterMiB`]: now.rssMiB,
      [`${name}AnonGrowthMiB`]: this.#max.anonMiB - this.#before.anonMiB,
    };
  }

  async #look(): Promise<void> {
    const { rssMiB, anonMiB } = await memoryOf(this.#pid);
    this.#max = {
      rssMiB: Math.max(this.#max.rssMiB, rssMiB),
      anonMiB: Math.max(this.#max.anonMiB, anonMiB),
    };
  }
}
