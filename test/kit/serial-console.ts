import { once } from 'node:events';
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseTicks, type Tick } from './ticks.js';

/** Long enough for a guest to boot on a busy machine without KVM. */
const TICK_TIMEOUT_MS = 60_000;

/** A serial console that QEMU writes to a file. */
export class SerialConsole {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Everything so far; empty when QEMU has not made the file yet. */
  async text(): Promise<string> {
    return readFile(this.path, 'latin1').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
  }

  async ticks(): Promise<Tick[]> {
    return parseTicks(await this.text());
  }

  /** The last tick so far. */
  async lastTick(): Promise<Tick | null> {
    return (await this.ticks()).at(-1) ?? null;
  }

  /** The first tick, past or to come, that `accepts`. The file must exist. */
  async waitForTick(accepts: (tick: Tick) => boolean, timeoutMs = TICK_TIMEOUT_MS): Promise<Tick> {
    const signal = AbortSignal.timeout(timeoutMs);
    const changes = watch(this.path);
    try {
      for (;;) {
        // Listens before it reads: what is written in between is not missed.
        const changed = once(changes, 'change', { signal });
        // Awaited below, unless the tick is there already.
        changed.catch(() => undefined);
        const text = await this.text();
        const tick = parseTicks(text).find(accepts);
        if (tick !== undefined) return tick;
        if (text.includes('GUEST FAILED')) throw new Error(`The guest gave up:\n${text}`);
        await changed.catch((cause: unknown) => {
          const end = text.slice(-600);
          throw new Error(`No such tick within ${timeoutMs} ms; the console ended with:\n${end}`, { cause });
        });
      }
    } finally {
      changes.close();
    }
  }
}
