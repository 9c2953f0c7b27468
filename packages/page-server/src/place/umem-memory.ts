import { PageBitmap, pagesIn, totalPages, type RamBlock } from '@umem/ram';
import { Counters } from './counters.js';

/** One RAM block of a umem set and what is known about its pages; shared by all threads. */
export interface UmemBlock {
  readonly blockId: string;
  readonly pageCount: number;
  /** Claimed for placing, or given up: whoever adds a page to it settles that page. */
  readonly received: PageBitmap;
  /** A fault asked for it. */
  readonly requested: PageBitmap;
  /** The guest gave it up: it is never filled from the source. */
  readonly removed: PageBitmap;
}

/** What a thread needs to share a `UmemMemory`; can be posted to a worker. */
export interface SharedMemory {
  readonly blocks: readonly RamBlock[];
  readonly bitmaps: readonly {
    readonly received: SharedArrayBuffer;
    readonly requested: SharedArrayBuffer;
    readonly removed: SharedArrayBuffer;
  }[];
  readonly counters: SharedArrayBuffer;
}

/** The pages of a umem set: bitmaps and counters that all its threads share. */
export class UmemMemory {
  readonly blocks: ReadonlyMap<string, UmemBlock>;
  readonly counters: Counters;
  readonly totalPages: number;
  readonly shared: SharedMemory;

  private constructor(blocks: readonly RamBlock[], from: SharedMemory | null) {
    const umemBlocks = blocks.map((block, i): UmemBlock => {
      const pageCount = pagesIn(block);
      const bitmaps = from?.bitmaps[i];
      return {
        blockId: block.blockId,
        pageCount,
        received: new PageBitmap(pageCount, bitmaps?.received),
        requested: new PageBitmap(pageCount, bitmaps?.requested),
        removed: new PageBitmap(pageCount, bitmaps?.removed),
      };
    });
    this.blocks = new Map(umemBlocks.map((block) => [block.blockId, block]));
    this.counters = new Counters(from?.counters);
    this.totalPages = totalPages(blocks);
    this.shared = {
      blocks,
      bitmaps: umemBlocks.map(({ received, requested, removed }) => ({
        received: received.buffer,
        requested: requested.buffer,
        removed: removed.buffer,
      })),
      counters: this.counters.buffer,
    };
  }

  /** Memory of which nothing has arrived. */
  static create(blocks: readonly RamBlock[]): UmemMemory {
    return new UmemMemory(blocks, null);
  }

  /** Another thread's memory. */
  static share(shared: SharedMemory): UmemMemory {
    return new UmemMemory(shared.blocks, shared);
  }

  /**
   * Counts pages that will not change any more: placed, or given up. True for exactly one caller of
   * all threads: the one that settled the last page.
   */
  settle(pages: number): boolean {
    return pages > 0 && this.counters.add('settledPages', pages) === BigInt(this.totalPages);
  }

  /** Pages that are not settled. */
  remainingPages(): number {
    return this.totalPages - Number(this.counters.get('settledPages'));
  }
}
