import { join } from 'node:path';
import { connectQemu, startProcessGuest, type ProcessGuest, type Vmm } from '@umem/vmm';
import type { ServedBlock } from './page-source.js';

/** A running process guest that is to be moved, and what the source-agent would do with it. */
export class SourceVm {
  private constructor(
    readonly guest: ProcessGuest,
    readonly vmm: Vmm,
    readonly blocks: readonly ServedBlock[],
    readonly dir: string,
  ) {}

  static async start(dir: string, sizes: Readonly<Record<string, number>>): Promise<SourceVm> {
    const blocks = Object.entries(sizes).map(([blockId, sizeBytes]) => ({
      blockId,
      sizeBytes,
      hostPageSizeBytes: 4096,
      path: join(dir, `source-${blockId}`),
    }));
    const guest = await startProcessGuest({
      name: 'source',
      dir,
      blocks: blocks.map(({ blockId: id, sizeBytes, path }) => ({ id, sizeBytes, path })),
      workload: { thinkUs: 200 },
    });
    const vmm = await connectQemu(guest.qmpPath);
    return new SourceVm(guest, vmm, blocks, dir);
  }

  /** Freezes the guest and saves its device state. */
  async save(): Promise<Buffer> {
    await this.vmm.prepareSave();
    await this.vmm.stop();
    const chunks: Buffer[] = [];
    for await (const chunk of await this.vmm.saveDeviceState(join(this.dir, 'save.sock')))
      chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }

  async stop(): Promise<void> {
    this.vmm.close();
    await this.guest.kill();
  }
}
