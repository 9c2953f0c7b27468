import { setTimeout as delay } from 'node:timers/promises';
import type { Incoming } from '@umem/api';
import { Cancelled } from '@umem/errors';
import type { Destination } from './destination.js';

/** How often the destination reports when nothing changes. */
const INTERVAL_MS = 200;

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

export interface DestinationWatchListener {
  /** The destination reports. */
  onIncoming(incoming: Incoming): void;
  /** It does not, and will be asked again. Called once per failed attempt. */
  onLost(error: unknown): void;
}

/**
 * Follows the incoming VM for as long as the migration lasts: when the destination-agent cannot be
 * reached it is asked again, ever more seldom, because the guest does not need it to run.
 */
export class DestinationWatch {
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(destination: Destination, listener: DestinationWatchListener) {
    this.#running = this.#run(destination, listener);
  }

  /** Resolves when nothing is reported any more. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(destination: Destination, listener: DestinationWatchListener): Promise<void> {
    const { signal } = this.#stopping;
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        await destination.watch(INTERVAL_MS, signal, (incoming) => {
          if (signal.aborted) return;
          retryMs = FIRST_RETRY_MS;
          listener.onIncoming(incoming);
        });
        if (!signal.aborted) listener.onLost(new Cancelled('The destination ended its reports'));
      } catch (error) {
        if (!signal.aborted) listener.onLost(error);
      }
      // Jittered, so that a destination that comes back is not asked by all at once.
      await delay(retryMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
      retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
    }
  }
}
