import { chmod, lstat, mkdir, statfs } from 'node:fs/promises';
import { HostPrecondition } from '@umem/errors';
import { ownUser } from './file-owner.js';

/** f_type of statfs(2). */
const TMPFS_MAGIC = 0x01021994;

/** Free space of a file system, in bytes. */
export interface Space {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/**
 * Makes the directory of RAM files when it is missing: passable for VMMs of other users, readable
 * for none. Checks it. Throws HostPrecondition.
 */
export async function prepareRamDir(dir: string): Promise<void> {
  try {
    if ((await mkdir(dir, { recursive: true })) !== undefined) await chmod(dir, 0o711);
  } catch (cause) {
    throw new HostPrecondition(`Cannot make RAM directory ${dir}: give another with --ram-dir`, { cause });
  }
  const problem = await findRamDirProblem(dir);
  if (problem) throw new HostPrecondition(`${problem.finding}. ${problem.fix}`);
}

/** What is wrong with the directory, and what to do; null when RAM files may be made in it. */
export async function findRamDirProblem(dir: string): Promise<{ finding: string; fix: string } | null> {
  let stats;
  try {
    stats = await lstat(dir);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return { finding: `RAM directory ${dir} cannot be used (${code})`, fix: `Make it: mkdir -m 711 ${dir}` };
  }
  if (stats.isSymbolicLink())
    return { finding: `RAM directory ${dir} is a symbolic link`, fix: 'Give the real path with --ram-dir' };
  if (!stats.isDirectory())
    return {
      finding: `RAM directory ${dir} is not a directory`,
      fix: 'Remove it or give another with --ram-dir',
    };
  const self = ownUser();
  // In a shared place such as /dev/shm anybody may have made it before us.
  if (stats.uid !== self.uid || (stats.mode & 0o022) !== 0)
    return {
      finding: `RAM directory ${dir} belongs to user ${stats.uid} with mode ${(stats.mode & 0o7777).toString(8)}, so others could swap files in it`,
      fix: `Make it the agent's own: chown ${self.uid} ${dir} && chmod 711 ${dir}`,
    };
  const { type } = await statfs(dir);
  if (type !== TMPFS_MAGIC)
    return {
      finding: `RAM directory ${dir} is on a file system of type 0x${type.toString(16)}; faults can be caught on a tmpfs with 4 KiB pages only`,
      fix: 'Give a directory below /dev/shm or another tmpfs with --ram-dir',
    };
  return null;
}

/** What a tmpfs has left. statfs(2). */
export async function spaceIn(dir: string): Promise<Space> {
  const { bsize, bavail, blocks } = await statfs(dir);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}
