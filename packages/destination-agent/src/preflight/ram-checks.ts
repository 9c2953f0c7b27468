import type { PreflightCheck } from '@umem/api';
import { messageOf } from '@umem/errors';
import { formatBytes } from '@umem/ram';
import type { Owner } from '../ram/file-owner.js';
import { findRamDirProblem, spaceIn, type RamDirKind } from '../ram/ram-dir.js';
import { plannedBytes, type RamPlan } from '../ram/ram-plan.js';
import { findClosedDirectory } from '../ram/reach.js';
import { failed, passed } from './check.js';

/** Whether RAM files can be made where they shall lie, and opened by a VMM of this user. */
export async function checkRamDir(
  dir: string,
  owner: Owner,
  kind: RamDirKind = 'tmpfs',
): Promise<PreflightCheck> {
  const check = kind === 'tmpfs' ? 'ram-dir' : 'hugetlbfs-dir';
  const problem = await findRamDirProblem(dir, kind);
  if (problem) return failed(check, problem.finding, problem.fix);
  const closed = await findClosedDirectory(`${dir}/vm`, owner);
  if (closed !== null)
    return failed(
      check,
      `${owner.name} cannot reach ${dir}: ${closed} is closed to it`,
      `Open it: chmod a+x ${closed}`,
    );
  return passed(check, `${dir} is on a ${kind}`);
}

/**
 * Whether the blocks on the tmpfs fit. Files are sparse, so what is free counts less what VMs that are still
 * filling will take (`promisedBytes`).
 */
export async function checkRamSpace(
  dir: string,
  plan: RamPlan,
  promisedBytes: number,
): Promise<PreflightCheck> {
  const check = 'ram-space';
  const needed = plannedBytes(plan, 'small');
  let space;
  try {
    space = await spaceIn(dir);
  } catch (error) {
    return failed(
      check,
      `Free space of ${dir} is unknown (${messageOf(error)})`,
      'Give another with --ram-dir',
    );
  }
  const free = space.freeBytes - promisedBytes;
  const finding = `${formatBytes(needed)} needed, ${formatBytes(Math.max(0, free))} of ${formatBytes(space.totalBytes)} free in ${dir}`;
  if (free >= needed) return passed(check, finding);
  return failed(check, finding, `Make room, or enlarge it: mount -o remount,size=… ${dir}`);
}

/** Whether the blocks can have the pages that they shall have here. */
export function checkHostPageSize({ finding, fix }: RamPlan): PreflightCheck {
  const check = 'host-page-size';
  return fix === null ? passed(check, finding) : failed(check, finding, fix);
}
