import { fstatSync } from 'node:fs';
import { HostPrecondition, InvalidArgument } from '@umem/errors';
import { native, type NativeFileMapping, type NativeUserfaultfd } from '@umem/native';
import { pagesIn, TARGET_PAGE_SIZE, type RamBlock } from '@umem/ram';
import type { Region } from '../handoff/region-map.js';

/**
 * The page server's own mapping of a RAM file, with a userfaultfd of its own: what is placed through it is
 * in the file, for all who map that, and nobody else's userfaultfd is needed. Nothing ever reads or writes
 * the mapping.
 */
export class OwnMapping {
  readonly uffd: NativeUserfaultfd;
  readonly region: Region;
  readonly #mapping: NativeFileMapping;
  readonly #file: string;

  /** `number`: of the userfaultfd in the set. Throws HostPrecondition for a file that is no RAM of this size. */
  constructor(block: RamBlock, ramFd: number, number: number) {
    const { blockId, sizeBytes, hostPageSizeBytes } = block;
    this.#file = identityOf(ramFd);
    try {
      this.#mapping = native.mapFile(ramFd, sizeBytes);
    } catch (cause) {
      throw new HostPrecondition(
        `The RAM file of block "${blockId}" cannot be mapped with its ${sizeBytes} bytes`,
        { cause },
      );
    }
    const hostAddress = this.#mapping.address;
    let uffd: NativeUserfaultfd | null = null;
    try {
      uffd = native.createUserfaultfd(0n);
      uffd.register(hostAddress, sizeBytes);
    } catch (cause) {
      uffd?.close();
      this.#mapping.close();
      throw new HostPrecondition(
        `The RAM file of block "${blockId}" cannot be registered with userfaultfd: it must be on tmpfs, a memfd or on hugetlbfs`,
        { cause },
      );
    }
    this.uffd = uffd;
    this.region = {
      blockId,
      pgoff: 0,
      pageCount: pagesIn(block),
      hostAddress,
      uffd: number,
      hostPageSize: Math.max(TARGET_PAGE_SIZE, hostPageSizeBytes),
    };
  }

  /** Throws InvalidArgument unless the descriptor is of the file that is mapped. */
  requireSameFile(ramFd: number): void {
    if (identityOf(ramFd) !== this.#file)
      throw new InvalidArgument(
        `Block "${this.region.blockId}" came with another RAM file than in the handoff before: all processes must map one file`,
      );
  }

  /** Idempotent. The file keeps what it has. */
  close(): void {
    this.uffd.close();
    this.#mapping.close();
  }
}

/**
 * For `PlaceTarget.afterPlacing`: the page tables of this process need not remember pages of the file. On
 * hugetlbfs that is not worth while, and old kernels refuse it.
 */
export function forgetPlaced(hostAddress: bigint, lengthBytes: number): void {
  native.forgetMapped(hostAddress, lengthBytes);
}

function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd);
  return `${dev}:${ino}`;
}
