import type { RamBlockMessage } from '@umem/api';
import { formatBytes } from '@umem/ram';

export interface RamBlockJson {
  readonly id: string;
  readonly sizeBytes: number;
  readonly hostPageSizeBytes: number;
}

export function toRamBlocksJson(blocks: readonly RamBlockMessage[]): RamBlockJson[] {
  return blocks.map(({ blockId, sizeBytes, hostPageSizeBytes }) => ({
    id: blockId,
    sizeBytes: Number(sizeBytes),
    hostPageSizeBytes: Number(hostPageSizeBytes),
  }));
}

/** `ram0 512 MiB, ram1 64 MiB (2 MiB pages)` */
export function formatBlocks(blocks: readonly RamBlockMessage[]): string {
  return blocks
    .map(({ blockId, sizeBytes, hostPageSizeBytes }) => {
      const pages = hostPageSizeBytes > 4096n ? ` (${formatBytes(Number(hostPageSizeBytes))} pages)` : '';
      return `${blockId} ${formatBytes(Number(sizeBytes))}${pages}`;
    })
    .join(', ');
}
