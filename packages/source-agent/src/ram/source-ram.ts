import { native, type NativeRamReader } from '@umem/native';
import { pagesIn, type RamBlock } from '@umem/ram';

/** A RAM block whose file is open; the descriptor may be used by every thread of the process. */
export interface OpenBlock extends RamBlock {
  readonly fd: number;
}

/** One RAM block as one thread reads it. */
export interface SourceBlock {
  /** Position in the VM's list of blocks. */
  readonly index: number;
  readonly blockId: string;
  /** In target pages. */
  readonly pageCount: number;
  readonly reader: NativeRamReader;
}

/** A VM's RAM, mapped read-only by one thread. Reading it makes sense once the guest is frozen. */
export class SourceRam {
  readonly blocks: readonly SourceBlock[];
  readonly #byId: ReadonlyMap<string, SourceBlock>;

  private constructor(blocks: readonly SourceBlock[]) {
    this.blocks = blocks;
    this.#byId = new Map(blocks.map((block) => [block.blockId, block]));
  }

  /** Maps all blocks, or none. The descriptors stay the caller's. Throws NativeError. */
  static open(blocks: readonly OpenBlock[]): SourceRam {
    const opened: SourceBlock[] = [];
    try {
      for (const [index, block] of blocks.entries()) {
        const reader = native.openRamReader(block.fd, block.sizeBytes);
        opened.push({ index, blockId: block.blockId, pageCount: pagesIn(block), reader });
      }
    } catch (error) {
      for (const { reader } of opened) reader.close();
      throw error;
    }
    return new SourceRam(opened);
  }

  find(blockId: string): SourceBlock | undefined {
    return this.#byId.get(blockId);
  }

  /** Idempotent. */
  close(): void {
    for (const { reader } of this.blocks) reader.close();
  }
}
