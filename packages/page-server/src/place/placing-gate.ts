const CLOSED = 0;
const PLACING = 1;
/** Milliseconds between looks while waiting; a notification normally comes first. */
const LOOK_INTERVAL_MS = 100;

/**
 * Keeps placing in worker threads and the reading of events apart. Once a REMOVE event is read, the VMM's
 * thread goes on and discards the pages; what a worker placed behind its back would be there for good. So
 * a page is claimed and placed between `enter` and `leave`, and events are read, and what they say is
 * written down, between `close` and `open`.
 */
export class PlacingGate {
  readonly #words: Int32Array;
  #depth = 0;

  /** `buffer`: of another thread's gate, to share it. */
  constructor(readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.#words = new Int32Array(buffer);
  }

  /** Worker threads: waits while events are being read. */
  enter(): void {
    for (;;) {
      Atomics.add(this.#words, PLACING, 1);
      if (Atomics.load(this.#words, CLOSED) === 0) return;
      this.leave();
      Atomics.wait(this.#words, CLOSED, 1, LOOK_INTERVAL_MS);
    }
  }

  /** Worker threads. */
  leave(): void {
    if (Atomics.sub(this.#words, PLACING, 1) === 1) Atomics.notify(this.#words, PLACING);
  }

  /** Main event loop: waits for the ioctls that are under way. May be nested. */
  close(): void {
    if (this.#depth++ > 0) return;
    Atomics.store(this.#words, CLOSED, 1);
    for (;;) {
      const placing = Atomics.load(this.#words, PLACING);
      if (placing === 0) return;
      Atomics.wait(this.#words, PLACING, placing, LOOK_INTERVAL_MS);
    }
  }

  /** Main event loop. */
  open(): void {
    if (--this.#depth > 0) return;
    Atomics.store(this.#words, CLOSED, 0);
    Atomics.notify(this.#words, CLOSED);
  }
}

/** For the main event loop, which cannot place and read events at the same time. */
export const NO_GATE: Pick<PlacingGate, 'enter' | 'leave'> = { enter: () => {}, leave: () => {} };
