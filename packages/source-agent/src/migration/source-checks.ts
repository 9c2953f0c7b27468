import { Placement } from '@umem/api';
import { HostPrecondition } from '@umem/errors';
import { findCopyProblem, type VmDescription, type Vmm } from '@umem/vmm';

/** Checks on the source what would make a migration fail later. Rejects with HostPrecondition. */
export async function checkSource(vmm: Vmm, vm: string): Promise<VmDescription> {
  const description = await vmm.describe();
  const runState = await vmm.runState();
  if (runState !== 'running') throw notRunning(vm, runState);
  return description;
}

/**
 * Rejects placements with which the guest's devices would not work. Throws HostPrecondition. `placement`:
 * what counts, which may be that of a VM that was prepared beforehand.
 */
export function checkPlacement(
  vm: string,
  { vhostUserDevices }: Pick<VmDescription, 'vhostUserDevices'>,
  placement: Placement,
): void {
  const problem = placement === Placement.CACHE ? null : findCopyProblem(vhostUserDevices);
  if (problem === null) return;
  throw new HostPrecondition(
    `VM "${vm}" cannot move with placement COPY. ${problem.finding}. ${problem.fix}`,
    {
      reason: 'PLACEMENT_CACHE_NEEDED',
      metadata: { devices: vhostUserDevices.join(', ') },
    },
  );
}

/** A paused guest is not moved: the destination would run it against its owner's will. */
export function notRunning(vm: string, runState: string): HostPrecondition {
  return new HostPrecondition(
    `VM "${vm}" is ${runState} and only a running guest is moved by post-copy: run it (QMP cont), then migrate again`,
    { reason: 'GUEST_NOT_RUNNING', metadata: { runState } },
  );
}
