import { DeadlineExceeded, PeerUnavailable } from '@umem/errors';

export interface WatchdogSettings {
  /** The VM's name, for messages. */
  readonly name: string;
  /** Longest time without progress, in milliseconds. */
  readonly timeoutMs: number;
  /** Longest time without lanes, in milliseconds. */
  readonly graceMs: number;
}

/**
 * Notices before the guest is resumed that the source has gone, so that the destination gives up by
 * itself: then the source runs on. After that moment nothing may give up, and the watchdog is stopped.
 */
export class SourceWatchdog {
  readonly #settings: WatchdogSettings;
  readonly #expire: (error: Error) => void;
  readonly #idle: NodeJS.Timeout;
  #grace: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(settings: WatchdogSettings, expire: (error: Error) => void) {
    this.#settings = settings;
    this.#expire = expire;
    const { name, timeoutMs } = settings;
    this.#idle = setTimeout(
      () =>
        this.#give(
          new DeadlineExceeded(
            `Incoming VM "${name}" made no progress for ${timeoutMs} ms: start the migration again`,
          ),
        ),
      timeoutMs,
    ).unref();
  }

  /** Something arrived or moved on. */
  progress(): void {
    if (!this.#stopped) this.#idle.refresh();
  }

  /** Whether every lane to the source is connected, as the page server says. */
  lanes(areConnected: boolean): void {
    if (areConnected && this.#grace) {
      clearTimeout(this.#grace);
      this.#grace = null;
    }
    if (areConnected || this.#grace || this.#stopped) return;
    const { name, graceMs } = this.#settings;
    this.#grace = setTimeout(
      () =>
        this.#give(
          new PeerUnavailable(
            `Incoming VM "${name}" had no lane to its source for ${graceMs} ms before it was resumed: check the network and the source, and start the migration again`,
          ),
        ),
      graceMs,
    ).unref();
  }

  /** Idempotent. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#idle);
    if (this.#grace) clearTimeout(this.#grace);
  }

  #give(error: Error): void {
    if (this.#stopped) return;
    this.stop();
    this.#expire(error);
  }
}
