import type { PendingPlacement } from './pending.js';

/** Turns of the event loop in which a try follows at once; then it waits a little. */
const EAGER_TURNS = 16;
const PATIENT_DELAY_MS = 1;

/** Placements above which no more should come, and below which they may again. */
const CROWDED = 256;
const ROOMY = 32;

export interface RetrySettings {
  /** Reads pending events, for it is an unread one that makes ioctls fail with EAGAIN. */
  drainEvents(): void;
  /** Tries a placement again; it comes back by `add` when it fails again. */
  settle(pending: PendingPlacement): void;
  /** Nothing more should come (true) until told otherwise (false). */
  crowded(isCrowded: boolean): void;
}

/**
 * Placements that the kernel put off because the VMM's memory is changing: tried again, on the main
 * event loop, after the events of the change were read and the thread that made it has gone on.
 */
export class RetrySet {
  readonly #settings: RetrySettings;
  #pending: PendingPlacement[] = [];
  #turns = 0;
  #scheduled = false;
  #closed = false;
  #crowded = false;
  #running = false;

  constructor(settings: RetrySettings) {
    this.#settings = settings;
  }

  get size(): number {
    return this.#pending.length;
  }

  add(pending: PendingPlacement): void {
    this.#pending.push(pending);
    if (!this.#running) this.#look();
    this.#schedule();
  }

  /** Drops everything: the memory is being let go. */
  close(): void {
    this.#closed = true;
    this.#pending = [];
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#turns++;
    if (this.#turns <= EAGER_TURNS) setImmediate(() => this.#run());
    else setTimeout(() => this.#run(), PATIENT_DELAY_MS);
  }

  #run(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    this.#settings.drainEvents();
    const tries = this.#pending;
    this.#pending = [];
    this.#running = true;
    for (const pending of tries) this.#settings.settle(pending);
    this.#running = false;
    if (this.#pending.length < tries.length) this.#turns = 0;
    if (this.#pending.length > 0) this.#schedule();
    this.#look();
  }

  #look(): void {
    const crowded = this.#pending.length > (this.#crowded ? ROOMY : CROWDED);
    if (crowded === this.#crowded) return;
    this.#crowded = crowded;
    this.#settings.crowded(crowded);
  }
}
