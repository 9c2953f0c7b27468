/** Host pages that may be incomplete at a time because the source pushes pages of them. */
export const BACKGROUND_SLOTS = 16;
/** Further ones for host pages that a fault waits for: as many are asked for at a time. */
export const DEMAND_SLOTS = 16;
const SLOTS = BACKGROUND_SLOTS + DEMAND_SLOTS;

/** Words: the lock, the owner of each slot, the host pages that were asked for. */
const LOCK = 0;
const OWNERS = 1;
const DEMANDED = OWNERS + SLOTS;
const WORDS = DEMANDED + DEMAND_SLOTS;
const LOOK_INTERVAL_MS = 100;

/** Buffers of a staging area; can be posted to a worker. */
export interface SharedStaging {
  readonly slotBytes: number;
  readonly words: SharedArrayBuffer;
  readonly data: SharedArrayBuffer;
}

/**
 * Where the target pages of a host page wait until all of them are there: a fixed number of slots, each as
 * large as a host page, in memory that all threads share. Host pages have numbers that count through all
 * blocks.
 */
export class HostPageStaging {
  readonly shared: SharedStaging;
  readonly #words: Int32Array;

  constructor(shared: SharedStaging) {
    this.shared = shared;
    this.#words = new Int32Array(shared.words);
  }

  /** The memory is taken from the system only as far as it is used. */
  static create(slotBytes: number): HostPageStaging {
    const words = new SharedArrayBuffer(WORDS * 4);
    return new HostPageStaging({ slotBytes, words, data: new SharedArrayBuffer(SLOTS * slotBytes) });
  }

  /** Runs `work`, which must be short, while no other thread runs any. */
  locked<T>(work: () => T): T {
    while (Atomics.compareExchange(this.#words, LOCK, 0, 1) !== 0)
      Atomics.wait(this.#words, LOCK, 1, LOOK_INTERVAL_MS);
    try {
      return work();
    } finally {
      Atomics.store(this.#words, LOCK, 0);
      Atomics.notify(this.#words, LOCK, 1);
    }
  }

  /** The slot of a host page, or null. A moment's view unless `locked` or the host page cannot complete. */
  find(hostPage: number): number | null {
    const at = this.#words.subarray(OWNERS, DEMANDED).indexOf(hostPage + 1);
    return at < 0 ? null : at;
  }

  /**
   * Under `locked`: the slot of a host page, a new one if need be; null when there is no room. There always
   * is for one that is demanded.
   */
  open(hostPage: number): number | null {
    const found = this.find(hostPage);
    if (found !== null) return found;
    const demanded = this.#words.subarray(DEMANDED);
    if (!demanded.includes(hostPage + 1)) {
      const pushed = this.openHostPages().filter((owner) => !demanded.includes(owner + 1)).length;
      if (pushed >= BACKGROUND_SLOTS) return null;
    }
    const free = this.#words.subarray(OWNERS, DEMANDED).indexOf(0);
    if (free < 0) return null;
    this.#words[OWNERS + free] = hostPage + 1;
    return free;
  }

  /** Keeps a slot for a host page until `endDemand`; false when `DEMAND_SLOTS` have one kept. Main event loop. */
  demand(hostPage: number): boolean {
    return this.locked(() => {
      const free = this.#words.subarray(DEMANDED).indexOf(0);
      if (free < 0) return false;
      this.#words[DEMANDED + free] = hostPage + 1;
      return true;
    });
  }

  endDemand(hostPage: number): void {
    this.locked(() => {
      const at = this.#words.subarray(DEMANDED).indexOf(hostPage + 1);
      if (at >= 0) this.#words[DEMANDED + at] = 0;
    });
  }

  /** Gives the slot of a host page back, if it has one. */
  close(hostPage: number): void {
    this.locked(() => {
      const slot = this.find(hostPage);
      if (slot !== null) this.#words[OWNERS + slot] = 0;
    });
  }

  /** Host pages that have a slot, in no order. */
  openHostPages(): number[] {
    return [...this.#words.subarray(OWNERS, DEMANDED)].filter((word) => word > 0).map((word) => word - 1);
  }

  /** The bytes of a slot. */
  bytes(slot: number): Uint8Array {
    const { data, slotBytes } = this.shared;
    return new Uint8Array(data, slot * slotBytes, slotBytes);
  }
}
