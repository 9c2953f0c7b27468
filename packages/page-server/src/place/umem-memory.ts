import { PageBitmap, pagesIn, TARGET_PAGE_SIZE, totalPages, type RamBlock } from '@umem/ram';
import { Counters } from './counters.js';
import { HostPageStaging, type SharedStaging } from './host-page-staging.js';
import { PlacingGate } from './placing-gate.js';

/** One RAM block of a umem set and what is known about its pages; shared by all threads. */
export interface UmemBlock {
  readonly blockId: string;
  readonly pageCount: number;
  /** Target pages that are placed together: those of one host page. 1 for host pages of 4 KiB. */
  readonly pagesPerHostPage: number;
  /** Number of the block's first host page among those of all blocks. */
  readonly firstHostPage: number;
  /** Claimed for placing, or given up: whoever adds a page to it settles that page. */
  readonly received: PageBitmap;
  /** A fault asked for it. */
  readonly requested: PageBitmap;
  /** The guest gave it up: it is never filled from the source. */
  readonly removed: PageBitmap;
  /** It was put into memory. The guest may have thrown it out again since. */
  readonly placed: PageBitmap;
  /** Per host page, where that is more than one target page: two words, see `HostPageAssembler`. */
  readonly hostPages: Int32Array<SharedArrayBuffer>;
}

interface SharedBlock {
  readonly received: SharedArrayBuffer;
  readonly requested: SharedArrayBuffer;
  readonly removed: SharedArrayBuffer;
  readonly placed: SharedArrayBuffer;
  readonly hostPages: SharedArrayBuffer;
}

/** What a thread needs to share a `UmemMemory`; can be posted to a worker. */
export interface SharedMemory {
  readonly blocks: readonly RamBlock[];
  readonly shared: readonly SharedBlock[];
  readonly counters: SharedArrayBuffer;
  readonly gate: SharedArrayBuffer;
  readonly staging: SharedStaging | null;
}

/** The pages of a umem set: bitmaps and counters that all its threads share. */
export class UmemMemory {
  readonly blocks: ReadonlyMap<string, UmemBlock>;
  readonly counters: Counters;
  readonly gate: PlacingGate;
  /** Where pages of large host pages wait; null when there are none. */
  readonly staging: HostPageStaging | null;
  readonly totalPages: number;
  readonly shared: SharedMemory;

  private constructor(blocks: readonly RamBlock[], from: SharedMemory | null) {
    let firstHostPage = 0;
    const umemBlocks = blocks.map((block, i): UmemBlock => {
      const umemBlock = createBlock(block, firstHostPage, from?.shared[i]);
      firstHostPage += umemBlock.pageCount / umemBlock.pagesPerHostPage;
      return umemBlock;
    });
    this.blocks = new Map(umemBlocks.map((block) => [block.blockId, block]));
    this.counters = new Counters(from?.counters);
    this.gate = new PlacingGate(from?.gate);
    this.staging = from ? from.staging && new HostPageStaging(from.staging) : createStaging(blocks);
    this.totalPages = totalPages(blocks);
    this.shared = {
      blocks,
      shared: umemBlocks.map(({ received, requested, removed, placed, hostPages }) => ({
        received: received.buffer,
        requested: requested.buffer,
        removed: removed.buffer,
        placed: placed.buffer,
        hostPages: hostPages.buffer,
      })),
      counters: this.counters.buffer,
      gate: this.gate.buffer,
      staging: this.staging?.shared ?? null,
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

function createBlock(block: RamBlock, firstHostPage: number, from: SharedBlock | undefined): UmemBlock {
  const pageCount = pagesIn(block);
  const pagesPerHostPage = Math.max(1, block.hostPageSizeBytes / TARGET_PAGE_SIZE);
  const words = pagesPerHostPage === 1 ? 0 : (2 * pageCount) / pagesPerHostPage;
  return {
    blockId: block.blockId,
    pageCount,
    pagesPerHostPage,
    firstHostPage,
    received: new PageBitmap(pageCount, from?.received),
    requested: new PageBitmap(pageCount, from?.requested),
    removed: new PageBitmap(pageCount, from?.removed),
    placed: new PageBitmap(pageCount, from?.placed),
    hostPages: new Int32Array(from?.hostPages ?? new SharedArrayBuffer(words * 4)),
  };
}

function createStaging(blocks: readonly RamBlock[]): HostPageStaging | null {
  const largest = Math.max(...blocks.map(({ hostPageSizeBytes }) => hostPageSizeBytes));
  return largest > TARGET_PAGE_SIZE ? HostPageStaging.create(largest) : null;
}
