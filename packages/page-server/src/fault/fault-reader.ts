import { EVENT_FIELDS, EVENT_KIND, type NativeUserfaultfd } from '@umem/native';
import type { PlacingGate } from '../place/placing-gate.js';
import { monotonicUs } from './clock.js';

/** Events read at once: more than a VMM has threads. */
const MAX_EVENTS = 256;

/** What a VMM's kernel side reports, in host addresses. Main event loop only. */
export interface FaultListener {
  fault(uffd: number, address: bigint, threadId: number, nowUs: number): void;
  /** The pages of [start, end) were discarded (MADV_REMOVE, MADV_DONTNEED, a hole punched). */
  discarded(uffd: number, start: bigint, end: bigint): void;
  /** The range was unmapped. */
  unmapped(uffd: number, start: bigint, end: bigint): void;
  /** The range moved: its host addresses are others from now on. */
  moved(uffd: number, from: bigint, to: bigint, lengthBytes: bigint): void;
  /** The VMM forked; `childUffd` is a descriptor that we now own. */
  forked(uffd: number, childUffd: number): void;
  /** All events that could be read have been told. */
  turnOver(): void;
  /** Events cannot be read any more. */
  failed(error: Error): void;
}

/** Reads the events of one userfaultfd: `number` is its place in the set. */
export class FaultReader {
  readonly #uffd: NativeUserfaultfd;
  readonly #number: number;
  readonly #listener: FaultListener;
  readonly #gate: PlacingGate;
  #reading = false;

  constructor(uffd: NativeUserfaultfd, number: number, listener: FaultListener, gate: PlacingGate) {
    this.#uffd = uffd;
    this.#number = number;
    this.#listener = listener;
    this.#gate = gate;
  }

  /** Reads events as they come. Idempotent. */
  start(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#uffd.watchEvents(
      MAX_EVENTS,
      () => this.#read(),
      (events, count) => this.#tell(events, count),
      (error) => {
        this.#reading = false;
        this.#listener.failed(error);
      },
    );
  }

  /** Leaves events in the kernel, where the guest's threads wait. Idempotent. */
  stop(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#uffd.stopEvents();
  }

  /** Reads what is pending at once, and goes on reading: an unread REMOVE makes every ioctl fail with EAGAIN. */
  drain(): void {
    this.start();
    this.#read();
  }

  /** Nothing is placed by other threads from before an event is read until it is written down. */
  #read(): void {
    this.#gate.close();
    try {
      this.#uffd.drainEvents();
    } catch (error) {
      this.stop();
      this.#listener.failed(toError(error));
    } finally {
      this.#gate.open();
    }
  }

  #tell(events: BigUint64Array, count: number): void {
    const nowUs = monotonicUs();
    const uffd = this.#number;
    for (let i = 0; i < count * EVENT_FIELDS; i += EVENT_FIELDS) {
      const first = events[i + 1] ?? 0n;
      const second = events[i + 2] ?? 0n;
      switch (Number(events[i] ?? 0n)) {
        case EVENT_KIND.pagefault:
          this.#listener.fault(uffd, first, Number(events[i + 3] ?? 0n), nowUs);
          break;
        case EVENT_KIND.remove:
          this.#listener.discarded(uffd, first, second);
          break;
        case EVENT_KIND.unmap:
          this.#listener.unmapped(uffd, first, second);
          break;
        case EVENT_KIND.remap:
          this.#listener.moved(uffd, first, second, events[i + 3] ?? 0n);
          break;
        case EVENT_KIND.fork:
          this.#listener.forked(uffd, Number(first));
          break;
      }
    }
    this.#listener.turnOver();
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
