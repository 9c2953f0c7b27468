import { TARGET_PAGE_SIZE } from './page.js';
import { isName, NAME_RULE } from './name.js';

/** One contiguous piece of guest RAM. */
export interface RamBlock {
  readonly blockId: string;
  /** Bytes; a multiple of both page sizes. */
  readonly sizeBytes: number;
  /** Bytes of the pages that back it on one host: 4096, or 2 MiB on hugetlbfs. */
  readonly hostPageSizeBytes: number;
}

/** Largest block: pgoffs travel as 32-bit numbers. */
const MAX_BLOCK_BYTES = 2 ** 32 * TARGET_PAGE_SIZE;

/** Target pages in a block. */
export function pagesIn(block: RamBlock): number {
  return block.sizeBytes / TARGET_PAGE_SIZE;
}

/** Target pages in all blocks together. */
export function totalPages(blocks: Iterable<RamBlock>): number {
  let pages = 0;
  for (const block of blocks) pages += pagesIn(block);
  return pages;
}

/** Why a list of blocks cannot be a VM's RAM, in a sentence with the numbers; null when it can. */
export function findBlockProblem(blocks: readonly RamBlock[]): string | null {
  if (blocks.length === 0) return 'A VM needs at least one RAM block; the list is empty';
  const seen = new Set<string>();
  for (const { blockId, sizeBytes, hostPageSizeBytes } of blocks) {
    if (!isName(blockId)) return `RAM block id ${JSON.stringify(blockId)} is not valid: use ${NAME_RULE}`;
    if (seen.has(blockId)) return `RAM block "${blockId}" is listed twice`;
    seen.add(blockId);
    const powerOfTwo = hostPageSizeBytes > 0 && Number.isInteger(Math.log2(hostPageSizeBytes));
    if (!powerOfTwo || hostPageSizeBytes > 2 ** 30)
      return `RAM block "${blockId}" has host page size ${hostPageSizeBytes} bytes: it must be a power of two up to 1 GiB`;
    const unit = Math.max(TARGET_PAGE_SIZE, hostPageSizeBytes);
    if (sizeBytes <= 0 || sizeBytes > MAX_BLOCK_BYTES || sizeBytes % unit !== 0)
      return `RAM block "${blockId}" has ${sizeBytes} bytes: its size must be a multiple of ${unit} between ${unit} and ${MAX_BLOCK_BYTES}`;
  }
  return null;
}

/**
 * How two hosts' views of a VM's RAM differ, in a sentence naming both sizes; null when they
 * agree. Host page sizes may differ.
 */
export function findBlockMismatch(ours: readonly RamBlock[], theirs: readonly RamBlock[]): string | null {
  const byId = new Map(theirs.map((block) => [block.blockId, block]));
  for (const { blockId, sizeBytes } of ours) {
    const other = byId.get(blockId);
    if (!other) return `RAM block "${blockId}" (${sizeBytes} bytes) is missing on the other side`;
    if (other.sizeBytes !== sizeBytes)
      return `RAM block "${blockId}" has ${sizeBytes} bytes here and ${other.sizeBytes} bytes on the other side`;
    byId.delete(blockId);
  }
  for (const { blockId, sizeBytes } of byId.values())
    return `RAM block "${blockId}" (${sizeBytes} bytes) exists only on the other side`;
  return null;
}
