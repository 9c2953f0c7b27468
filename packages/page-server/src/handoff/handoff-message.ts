import { HostPrecondition, InvalidArgument } from '@umem/errors';
import { TARGET_PAGE_SIZE, totalPages, type RamBlock } from '@umem/ram';
import { z } from 'zod';
import { RegionMap, type Region } from './region-map.js';

/** A region as VMMs send it: Firecracker's fields, and those that our preload library adds. */
const regionSchema = z.object({
  base_host_virt_addr: z.int().positive(),
  size: z.int().positive(),
  offset: z.int().nonnegative(),
  page_size: z.int().positive().optional(),
  /** Deprecated by Firecracker; in bytes, whatever its name says. */
  page_size_kib: z.int().positive().optional(),
  ram_block: z.string().optional(),
  /** Process id of the VMM, and the number that the userfaultfd has there. */
  pid: z.int().positive().optional(),
  uffd: z.int().nonnegative().optional(),
});
type RegionMessage = z.infer<typeof regionSchema>;

/** A handoff that makes sense for the set it is for. */
export interface HandoffMessage {
  readonly regions: readonly Region[];
  /** True when the sender waits for READY: our preload library does, Firecracker does not. */
  readonly wantsReady: boolean;
}

/**
 * Reads one handoff: `uffd` is the number the userfaultfd gets in the set, `known` the regions that
 * were handed over before. Throws InvalidArgument, or HostPrecondition for pages of another size than the block's.
 */
export function readHandoff(
  message: readonly unknown[],
  blocks: readonly RamBlock[],
  known: RegionMap,
  uffd: number,
): HandoffMessage {
  const parsed = z.array(regionSchema).min(1).safeParse(message);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new InvalidArgument(
      `Region ${issue?.path.join('.') ?? ''} is wrong: ${issue?.message ?? 'unknown'}`,
    );
  }
  const map = new RegionMap(known.regions);
  const regions = parsed.data.map((region) => {
    const placed = toRegion(region, blocks, uffd);
    const overlap = map.findOverlap(placed);
    if (overlap) throw new InvalidArgument(`Regions must not overlap: ${overlap}`);
    map.add(placed);
    return placed;
  });
  const wantsReady = parsed.data.some((region) => region.ram_block !== undefined);
  if (!wantsReady) requireAllMemory(regions, blocks);
  return { regions, wantsReady };
}

/** A VMM that names no blocks hands all its memory over in one message. */
function requireAllMemory(regions: readonly Region[], blocks: readonly RamBlock[]): void {
  const given = regions.reduce((sum, { pageCount }) => sum + pageCount, 0);
  const wanted = totalPages(blocks);
  if (given !== wanted)
    throw new InvalidArgument(
      `The regions have ${given * TARGET_PAGE_SIZE} bytes and the VM ${wanted * TARGET_PAGE_SIZE}: both must be of one size`,
    );
}

function toRegion(region: RegionMessage, blocks: readonly RamBlock[], uffd: number): Region {
  const { block, offset } =
    region.ram_block === undefined ? byPosition(region, blocks) : byName(region, region.ram_block, blocks);
  const { blockId, sizeBytes } = block;
  const hostPageSize = Math.max(TARGET_PAGE_SIZE, block.hostPageSizeBytes);
  const pageSize = region.page_size ?? region.page_size_kib ?? hostPageSize;
  if (pageSize !== hostPageSize)
    throw new HostPrecondition(
      `A region of block "${blockId}" has pages of ${pageSize} bytes and the block was created with pages of ${hostPageSize}: back the RAM with those`,
    );
  for (const field of ['base_host_virt_addr', 'size', 'offset'] as const)
    if (region[field] % hostPageSize !== 0)
      throw new InvalidArgument(`${field} ${region[field]} is not a multiple of ${hostPageSize}`);
  if (offset + region.size > sizeBytes)
    throw new InvalidArgument(
      `A region of ${region.size} bytes at offset ${offset} ends past block "${blockId}", which has ${sizeBytes} bytes`,
    );
  return {
    blockId,
    pgoff: offset / TARGET_PAGE_SIZE,
    pageCount: region.size / TARGET_PAGE_SIZE,
    hostAddress: BigInt(region.base_host_virt_addr),
    uffd,
    hostPageSize,
  };
}

interface Position {
  readonly block: RamBlock;
  /** Bytes from the start of the block. */
  readonly offset: number;
}

function byName(region: RegionMessage, name: string, blocks: readonly RamBlock[]): Position {
  const block = blocks.find(({ blockId }) => blockId === name);
  if (!block)
    throw new InvalidArgument(
      `RAM block ${JSON.stringify(name)} is none of ${blocks.map(({ blockId }) => `"${blockId}"`).join(', ')}`,
    );
  return { block, offset: region.offset };
}

/** Firecracker's offsets count through one file in which all memory lies in order. */
function byPosition(region: RegionMessage, blocks: readonly RamBlock[]): Position {
  let start = 0;
  for (const block of blocks) {
    if (region.offset < start + block.sizeBytes) return { block, offset: region.offset - start };
    start += block.sizeBytes;
  }
  throw new InvalidArgument(`Offset ${region.offset} is past the ${start} bytes of all blocks together`);
}
