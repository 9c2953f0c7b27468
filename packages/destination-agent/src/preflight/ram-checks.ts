import type { PreflightCheck } from '@umem/api';
import { messageOf } from '@umem/errors';
import { formatBytes, type RamBlock } from '@umem/ram';
import type { Owner } from '../ram/file-owner.js';
import { findRamDirProblem, spaceIn } from '../ram/ram-dir.js';
import { RAM_PAGE_SIZE } from '../ram/ram-files.js';
import { findClosedDirectory } from '../ram/reach.js';
import { failed, passed } from './check.js';

/** Whether RAM files can be made where they shall lie, and opened by a VMM of this user. */
export async function checkRamDir(dir: string, owner: Owner): Promise<PreflightCheck> {
  const check = 'ram-dir';
  const problem = await findRamDirProblem(dir);
  if (problem) return failed(check, problem.finding, problem.fix);
  const closed = await findClosedDirectory(`${dir}/vm`, owner);
  if (closed !== null)
    return failed(
      check,
      `${owner.name} cannot reach ${dir}: ${closed} is closed to it`,
      `Open it: chmod a+x ${closed}`,
    );
  return passed(check, `${dir} is on a tmpfs`);
}

/**
 * Whether the blocks fit. Files are sparse, so what is free counts less what VMs that are still
 * filling will take (`promisedBytes`).
 */
export async function checkRamSpace(
  dir: string,
  blocks: readonly RamBlock[],
  promisedBytes: number,
): Promise<PreflightCheck> {
  const check = 'ram-space';
  const needed = blocks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
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

/** Whether the source's RAM has pages of the size that this version can place. */
export function checkHostPageSize(blocks: readonly RamBlock[]): PreflightCheck {
  const check = 'host-page-size';
  const odd = blocks.find(({ hostPageSizeBytes }) => hostPageSizeBytes !== RAM_PAGE_SIZE);
  if (!odd) return passed(check, `${RAM_PAGE_SIZE} bytes on both hosts`);
  return failed(
    check,
    `RAM block "${odd.blockId}" has host pages of ${odd.hostPageSizeBytes} bytes on the source, and only ${RAM_PAGE_SIZE} can be placed`,
    'Back the RAM of the VM by ordinary pages (a memory-backend-file on a tmpfs, or a memfd without hugetlb=on)',
  );
}
