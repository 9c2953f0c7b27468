import { DeadlineExceeded, PeerUnavailable } from '@umem/errors';

/** One line of a guest, every `tickMs` while it runs. All counters travel with the device state. */
export interface GuestTick {
  readonly seq: number;
  readonly ops: number;
  /** Pages that were found wrong, each time they were. */
  readonly mismatches: number;
  /** Longest operation since the last tick, finished or not, in microseconds. */
  readonly worstUs: number;
  /** When it was said, in microseconds of the host's monotonic clock. */
  readonly atUs: number;
}

/** Reads a guest's line; null when it is no tick. */
export function parseTick(line: string): GuestTick | null {
  const match = /^TICK seq=(\d+) ops=(\d+) mismatches=(\d+) worst_us=(\d+) at_us=(\d+)\b/.exec(line);
  if (match === null) return null;
  const [seq = NaN, ops = NaN, mismatches = NaN, worstUs = NaN, atUs = NaN] = match.slice(1).map(Number);
  return { seq, ops, mismatches, worstUs, atUs };
}

interface Waiter {
  take(tick: GuestTick): void;
  fail(error: Error): void;
}

/** A guest's ticks, and who waits for them. */
export class TickLog {
  readonly #waiters = new Set<Waiter>();
  readonly #listeners = new Set<(tick: GuestTick) => void>();
  #ended: string | null = null;
  last: GuestTick | null = null;

  take(line: string): void {
    const tick = parseTick(line);
    if (tick === null) return;
    this.last = tick;
    for (const listener of [...this.#listeners]) listener(tick);
    for (const waiter of [...this.#waiters]) waiter.take(tick);
  }

  /** Tells every tick from now on; answers with how to end that. */
  watch(listener: (tick: GuestTick) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** No more ticks will come. */
  end(reason: string): void {
    this.#ended = reason;
    for (const waiter of [...this.#waiters]) waiter.fail(new PeerUnavailable(`No more ticks: ${reason}`));
  }

  next(accepts: (tick: GuestTick) => boolean, timeoutMs: number, name: string): Promise<GuestTick> {
    if (this.#ended !== null) return Promise.reject(new PeerUnavailable(`No more ticks: ${this.#ended}`));
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        settle();
      };
      const waiter: Waiter = {
        take: (tick) => {
          if (accepts(tick)) finish(() => resolve(tick));
        },
        fail: (error) => finish(() => reject(error)),
      };
      const timer = setTimeout(() => {
        const last = this.last === null ? 'it never ticked' : `its last was ${JSON.stringify(this.last)}`;
        waiter.fail(new DeadlineExceeded(`No such tick of "${name}" within ${timeoutMs} ms; ${last}`));
      }, timeoutMs);
      this.#waiters.add(waiter);
    });
  }
}
