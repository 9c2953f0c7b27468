import { closeSync, fstatSync, writeSync } from 'node:fs';
import { native } from '@umem/native';
import { TARGET_PAGE_SIZE } from '@umem/ram';
import type { OpenBlock } from '../ram/source-ram.js';

/** RAM of a guest that does not run: a memfd per block, filled so that each page tells its place. */
export class GuestRam {
  readonly blocks: readonly OpenBlock[];

  /** `pages`: block id → number of pages. `isHole(page)`: pages that are never written. */
  constructor(
    pages: Readonly<Record<string, number>>,
    private readonly content: (block: number, page: number) => number | 'text' | 'hole' = defaultContent,
  ) {
    this.blocks = Object.entries(pages).map(([blockId, count], index) => {
      const sizeBytes = count * TARGET_PAGE_SIZE;
      const fd = native.createMemfd(blockId, sizeBytes);
      for (let page = 0; page < count; page++)
        if (content(index, page) !== 'hole')
          writeSync(fd, this.page(index, page), 0, TARGET_PAGE_SIZE, page * TARGET_PAGE_SIZE);
      return { blockId, sizeBytes, hostPageSizeBytes: TARGET_PAGE_SIZE, fd };
    });
  }

  /** What a page holds. */
  page(block: number, page: number): Buffer {
    const content = this.content(block, page);
    if (content === 'hole') return Buffer.alloc(TARGET_PAGE_SIZE);
    if (content === 'text') return Buffer.alloc(TARGET_PAGE_SIZE, `block ${block} page ${page} `);
    return Buffer.alloc(TARGET_PAGE_SIZE, content);
  }

  /** Bytes that a block takes up in memory. */
  allocatedBytes(block = 0): number {
    return fstatSync(this.blocks[block]?.fd ?? -1).blocks * 512;
  }

  close(): void {
    for (const { fd } of this.blocks) closeSync(fd);
  }
}

/** A mix of everything: holes, zero pages, other constant pages, and pages with contents. */
function defaultContent(_block: number, page: number): number | 'text' | 'hole' {
  if (page % 7 === 3) return 'hole';
  if (page % 7 === 5) return page % 256;
  return 'text';
}
