import { EVENT_FIELDS, type NativeUserfaultfd } from '../../ts/index.js';

export interface Event {
  kind: number;
  address: bigint;
  second: bigint;
  threadId: number;
}

export function toEvents(batch: BigUint64Array, count: number): Event[] {
  return Array.from({ length: count }, (_, i) => {
    const [kind = 0n, address = 0n, second = 0n, threadId = 0n] = batch.subarray(
      i * EVENT_FIELDS,
      (i + 1) * EVENT_FIELDS,
    );
    return { kind: Number(kind), address, second, threadId: Number(threadId) };
  });
}

/** Reads events into a queue from which a test takes one after the other. */
export class EventQueue {
  private readonly events: Event[] = [];
  private wanted: ((event: Event) => void) | null = null;

  constructor(uffd: NativeUserfaultfd, maxEvents = 16) {
    uffd.startEvents(
      maxEvents,
      (batch, count) => {
        this.events.push(...toEvents(batch, count));
        this.deliver();
      },
      (error) => {
        throw error;
      },
    );
  }

  next(): Promise<Event> {
    return new Promise((resolve) => {
      this.wanted = resolve;
      this.deliver();
    });
  }

  private deliver(): void {
    const event = this.wanted === null ? undefined : this.events.shift();
    if (event === undefined) return;
    this.wanted?.(event);
    this.wanted = null;
  }
}
