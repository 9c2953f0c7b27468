import { EventEmitter, once } from 'node:events';
import { PATIENCE_MS } from '../waits.js';

/** Wakes those who wait for a condition, whenever something has changed. */
export class Changes {
  readonly #emitter = new EventEmitter().setMaxListeners(0);

  tell(): void {
    this.#emitter.emit('change');
  }

  /** Resolves with the first answer that is not null; `what` says what was waited for when none comes. */
  async until<T>(what: string, probe: () => T | null): Promise<T> {
    const inTime = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const found = probe();
      if (found !== null) return found;
      try {
        await once(this.#emitter, 'change', { signal: inTime });
      } catch (cause) {
        throw new Error(`Waited ${PATIENCE_MS} ms in vain for ${what}`, { cause });
      }
    }
  }
}
