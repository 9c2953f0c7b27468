import { HostPrecondition } from '@umem/errors';
import { TARGET_PAGE_SIZE } from '@umem/ram';
import type { VmDescription, Vmm } from '@umem/vmm';

/** Checks on the source what would make a migration fail later. Rejects with HostPrecondition. */
export async function checkSource(vmm: Vmm, vm: string): Promise<VmDescription> {
  const description = await vmm.describe();
  for (const { blockId, hostPageSizeBytes } of description.blocks)
    if (hostPageSizeBytes !== TARGET_PAGE_SIZE)
      throw new HostPrecondition(
        `RAM block "${blockId}" of VM "${vm}" has host pages of ${hostPageSizeBytes} bytes and this version moves ${TARGET_PAGE_SIZE} only: back it with a file on tmpfs instead of hugetlbfs`,
      );
  const runState = await vmm.runState();
  if (runState !== 'running') throw notRunning(vm, runState);
  return description;
}

/** A paused guest is not moved: the destination would run it against its owner's will. */
export function notRunning(vm: string, runState: string): HostPrecondition {
  return new HostPrecondition(
    `VM "${vm}" is ${runState} and only a running guest is moved by post-copy: run it (QMP cont), then migrate again`,
    { reason: 'GUEST_NOT_RUNNING', metadata: { runState } },
  );
}
