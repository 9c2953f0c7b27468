import { LaneKind, type Init, type Malformed, type PageBitmapMessage, type UmemRequest } from '@umem/api';
import { HostPrecondition, InvalidArgument, messageOf, NotFound } from '@umem/errors';
import { findBlockMismatch, PageBitmap, pagesIn, TARGET_PAGE_SIZE, type RamBlock } from '@umem/ram';
import type { ReceivedBits } from '../ram/sent-pages.js';

/** Kinds a lane can have once it is open. */
export type OpenLaneKind = LaneKind.DEMAND | LaneKind.BACKGROUND;

/** What a good INIT says, beside the migration that it names. */
export interface LaneOffer {
  readonly kind: OpenLaneKind;
  readonly generation: bigint;
  /** Target pages in a host page of the peer: one entry per block of the source, in its order. */
  readonly hostPages: readonly number[];
  /** One entry per block of the source, in its order; null where nothing was received. */
  readonly received: readonly (ReceivedBits | null)[];
}

/** The INIT in a lane's first message. Throws InvalidArgument when it is something else. */
export function toInit(message: UmemRequest | Malformed): Init {
  if ('malformed' in message)
    throw new InvalidArgument(`The message is not an UmemRequest: ${message.malformed}`);
  if (message.command?.$case !== 'init')
    throw new InvalidArgument(
      `The first message of a lane must be INIT, not ${message.command?.$case ?? 'an unset or unknown command'}`,
    );
  return message.command.value;
}

/**
 * Checks an INIT against the source's blocks. Throws InvalidArgument, HostPrecondition (page size or
 * blocks differ) or NotFound (received pages of a block that is not there).
 */
export function checkInit(init: Init, blocks: readonly RamBlock[]): LaneOffer {
  const kind = toKind(init.laneKind);
  if (init.targetPageSizeBytes !== TARGET_PAGE_SIZE)
    throw new HostPrecondition(
      `Init.target_page_size_bytes is ${init.targetPageSizeBytes} and the source serves ${TARGET_PAGE_SIZE}`,
    );
  checkBlocks(init, blocks);
  const received = toReceived(init.received, blocks);
  return { kind, generation: init.generation, hostPages: toHostPages(init, blocks), received };
}

function toKind(kind: LaneKind): OpenLaneKind {
  if (kind === LaneKind.DEMAND || kind === LaneKind.BACKGROUND) return kind;
  throw new InvalidArgument(`Init.lane_kind is ${kind}: it must be DEMAND (1) or BACKGROUND (2)`);
}

function checkBlocks(init: Init, blocks: readonly RamBlock[]): void {
  const theirs = init.blocks.map(({ blockId, sizeBytes, hostPageSizeBytes }) => ({
    blockId,
    sizeBytes: Number(sizeBytes),
    hostPageSizeBytes: Number(hostPageSizeBytes),
  }));
  const mismatch = findBlockMismatch(blocks, theirs);
  if (mismatch) throw new HostPrecondition(`Init.blocks differs from the source's RAM: ${mismatch}`);
  if (theirs.length !== blocks.length)
    throw new HostPrecondition(
      `Init.blocks has ${theirs.length} entries and the source's RAM ${blocks.length} blocks: one is listed twice`,
    );
}

/** What a host page cannot be counts as one page. */
function toHostPages(init: Init, blocks: readonly RamBlock[]): number[] {
  return blocks.map(({ blockId, sizeBytes }) => {
    const bytes = Number(init.blocks.find((block) => block.blockId === blockId)?.hostPageSizeBytes ?? 0n);
    const isMultiple = bytes >= TARGET_PAGE_SIZE && bytes <= sizeBytes && bytes % TARGET_PAGE_SIZE === 0;
    return isMultiple ? bytes / TARGET_PAGE_SIZE : 1;
  });
}

function toReceived(
  messages: readonly PageBitmapMessage[],
  blocks: readonly RamBlock[],
): (ReceivedBits | null)[] {
  const received: (ReceivedBits | null)[] = blocks.map(() => null);
  for (const { blockId, bits } of messages) {
    const index = blocks.findIndex((block) => block.blockId === blockId);
    const block = blocks[index];
    if (!block) throw new NotFound(`Init.received names block "${blockId}", which this VM does not have`);
    if (received[index]) throw new InvalidArgument(`Init.received lists block "${blockId}" twice`);
    received[index] = checkBits(block, bits);
  }
  return received;
}

function checkBits(block: RamBlock, bits: Uint8Array): ReceivedBits {
  try {
    PageBitmap.fromBytes(pagesIn(block), bits);
    return bits;
  } catch (error) {
    throw new InvalidArgument(`Init.received of block "${block.blockId}" does not fit: ${messageOf(error)}`);
  }
}
