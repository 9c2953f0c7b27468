import { close as closeCallback } from 'node:fs';
import { promisify } from 'node:util';
import type { DiscoveredBlock, RamAccess, Vmm } from '@umem/vmm';
import type { OpenBlock } from '../ram/source-ram.js';

const closeFile = promisify(closeCallback);

/** The open RAM files of one VM: they keep its RAM even if the VMM goes. */
export class OpenedRam {
  #closed = false;

  private constructor(readonly blocks: readonly OpenBlock[]) {}

  /** Opens all blocks, or none. Rejects like `Vmm.openRam`. */
  static async open(vmm: Vmm, discovered: readonly DiscoveredBlock[], access: RamAccess): Promise<OpenedRam> {
    const blocks: OpenBlock[] = [];
    try {
      for (const block of discovered) {
        const { blockId, sizeBytes, hostPageSizeBytes } = block;
        blocks.push({ blockId, sizeBytes, hostPageSizeBytes, fd: await vmm.openRam(block, access) });
      }
    } catch (error) {
      await new OpenedRam(blocks).close();
      throw error;
    }
    return new OpenedRam(blocks);
  }

  /** Idempotent. Only when no thread maps the files any more, or wants to. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(this.blocks.map(({ fd }) => closeFile(fd)));
  }
}
