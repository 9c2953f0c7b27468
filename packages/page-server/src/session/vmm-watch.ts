import type { GuestMemory } from './guest-memory.js';

/** Milliseconds between looks whether the VMM still exists: nothing tells us when it exits. */
const INTERVAL_MS = 1_000;

/** Notices, within a second, that the VMM is gone. */
export class VmmWatch {
  readonly #timer: NodeJS.Timeout;

  /** `gone` is called at every look that finds it gone, until `stop`. */
  constructor(guest: GuestMemory, gone: () => void) {
    this.#timer = setInterval(() => {
      if (!guest.isEmpty && guest.isVmmGone()) gone();
    }, INTERVAL_MS).unref();
  }

  /** Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
