import { InvalidArgument } from '@umem/errors';
import { findBlockProblem, type RamBlock } from '@umem/ram';
import type { RamBlock as RamBlockMessage } from './gen/umem/v1/ram.js';

/** A VM's RAM as it travels. */
export function toBlockMessages(blocks: readonly RamBlock[]): RamBlockMessage[] {
  return blocks.map(({ blockId, sizeBytes, hostPageSizeBytes }) => ({
    blockId,
    sizeBytes: BigInt(sizeBytes),
    hostPageSizeBytes: BigInt(hostPageSizeBytes),
  }));
}

/** A VM's RAM from a message. Throws InvalidArgument when it cannot be a VM's RAM. */
export function fromBlockMessages(messages: readonly RamBlockMessage[]): RamBlock[] {
  const blocks = messages.map(({ blockId, sizeBytes, hostPageSizeBytes }) => ({
    blockId,
    sizeBytes: Number(sizeBytes),
    hostPageSizeBytes: Number(hostPageSizeBytes),
  }));
  const problem = findBlockProblem(blocks);
  if (problem) throw new InvalidArgument(problem);
  return blocks;
}
