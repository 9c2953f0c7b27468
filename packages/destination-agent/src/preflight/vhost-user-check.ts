import { Placement, type PreflightCheck } from '@umem/api';
import { findCopyProblem } from '@umem/vmm';
import { failed, passed } from './check.js';

/**
 * Whether the processes that serve devices of the guest would wait for pages, too. That they hand their
 * mappings over cannot be known before they map guest RAM, which is when the guest runs here: see
 * `RamGuard`.
 */
export function checkVhostUser(placement: Placement, devices: readonly string[]): PreflightCheck {
  const check = 'vhost-user';
  const problem = placement === Placement.CACHE ? null : findCopyProblem(devices);
  if (problem !== null) return failed(check, problem.finding, problem.fix);
  if (devices.length === 0) return passed(check, 'No device is served by another process');
  return passed(
    check,
    `${devices.join(', ')}: start the back end with the environment of the VMM (LD_PRELOAD, UMEM_RAM, UMEM_HANDOFF)`,
  );
}
