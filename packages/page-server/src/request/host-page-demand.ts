import type { UmemBlock, UmemMemory } from '../place/umem-memory.js';
import { rangeOf } from '../place/host-page-assembler.js';
import type { WaitedFor } from '../fault/fault-table.js';

interface HostPage {
  readonly block: UmemBlock;
  readonly number: number;
}

/**
 * Faults on host pages that are larger than a target page: all missing target pages are asked for, and only
 * so many host pages at a time that there is room to put them together. The others wait. Main event loop only.
 */
export class HostPageDemand {
  readonly #memory: UmemMemory;
  readonly #ask: (page: WaitedFor) => void;
  /** By their number among the host pages of all blocks. */
  readonly #asked = new Map<number, HostPage>();
  readonly #waiting = new Map<number, HostPage>();

  constructor(memory: UmemMemory, ask: (page: WaitedFor) => void) {
    this.#memory = memory;
    this.#ask = ask;
  }

  /** Somebody waits for the host page. */
  add(block: UmemBlock, number: number): void {
    const key = block.firstHostPage + number;
    if (this.#asked.has(key) || this.#waiting.has(key)) return;
    this.#waiting.set(key, { block, number });
    this.#askNext();
  }

  /** Host pages that begin in these pages are in memory: their places are free. */
  done(block: UmemBlock, pgoff: number, pageCount: number): void {
    const { pagesPerHostPage, firstHostPage } = block;
    const end = pgoff + pageCount;
    for (let number = Math.floor(pgoff / pagesPerHostPage); number * pagesPerHostPage < end; number++) {
      const key = firstHostPage + number;
      this.#waiting.delete(key);
      if (this.#asked.delete(key)) this.#memory.staging?.endDemand(key);
    }
    this.#askNext();
  }

  /** Pages that were asked for and have not arrived. */
  *unanswered(): Generator<WaitedFor> {
    for (const hostPage of this.#asked.values()) yield* missingOf(hostPage);
  }

  #askNext(): void {
    for (const [key, hostPage] of this.#waiting) {
      if (!this.#memory.staging?.demand(key)) return;
      this.#waiting.delete(key);
      this.#asked.set(key, hostPage);
      for (const page of missingOf(hostPage)) this.#ask(page);
    }
  }
}

function* missingOf({ block, number }: HostPage): Generator<WaitedFor> {
  const { pgoff, pageCount } = rangeOf(block, number);
  for (let page = pgoff; page < pgoff + pageCount; page++)
    if (!block.received.has(page)) yield { blockId: block.blockId, pgoff: page };
}
