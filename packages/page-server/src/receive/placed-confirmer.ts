import { toPlacedRequests } from '@umem/api';
import type { PageRange } from '@umem/ram';
import type { RequestLane } from '../request/demand-sender.js';

/** Pages after which they are confirmed at once, and milliseconds after which fewer are. */
const MAX_PAGES = 256;
const MAX_DELAY_MS = 200;
/** Ranges that may wait for a lane; what is more goes unconfirmed, and only keeps memory at the source. */
const MAX_RANGES = 4096;

/** Confirms pages that one thread has placed to the source, over the lane of that thread. */
export class PlacedConfirmer {
  /** Ranges by block, in the order of placing. */
  readonly #ranges = new Map<string, { pgoff: number; pageCount: number }[]>();
  #enabled = false;
  #lane: RequestLane | null = null;
  #pages = 0;
  #count = 0;
  #timer: NodeJS.Timeout | null = null;
  #waitsForDrain = false;

  /** Off until told otherwise. */
  enable(): void {
    this.#enabled = true;
  }

  /** Sends over `lane` from now on, first what waited for one. */
  attach(lane: RequestLane): void {
    this.#lane = lane;
    this.#waitsForDrain = false;
    this.#schedule();
  }

  /** Keeps what is to be confirmed until there is a lane. */
  detach(): void {
    this.#lane = null;
    this.#stopTimer();
  }

  add(blockId: string, { pgoff, pageCount }: PageRange): void {
    if (!this.#enabled || this.#count >= MAX_RANGES) return;
    const ranges = this.#ranges.get(blockId) ?? [];
    this.#ranges.set(blockId, ranges);
    const last = ranges.at(-1);
    if (last && last.pgoff + last.pageCount === pgoff) last.pageCount += pageCount;
    else {
      ranges.push({ pgoff, pageCount });
      this.#count++;
    }
    this.#pages += pageCount;
    if (this.#pages >= MAX_PAGES) this.flush();
    else this.#schedule();
  }

  /** Sends all that waits, if the lane takes it. */
  flush(): void {
    const lane = this.#lane;
    if (!lane || this.#waitsForDrain || this.#pages === 0) return;
    this.#stopTimer();
    let writable = true;
    for (const [blockId, ranges] of this.#ranges)
      for (const request of toPlacedRequests(blockId, ranges)) writable = lane.write(request);
    this.#ranges.clear();
    this.#pages = this.#count = 0;
    if (writable) return;
    this.#waitsForDrain = true;
    lane.onDrain(() => {
      if (this.#lane !== lane) return;
      this.#waitsForDrain = false;
      this.flush();
    });
  }

  #schedule(): void {
    if (this.#timer || !this.#lane || this.#pages === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.flush();
    }, MAX_DELAY_MS);
  }

  #stopTimer(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
