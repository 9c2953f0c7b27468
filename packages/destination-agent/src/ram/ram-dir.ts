import { chmod, lstat, mkdir, statfs } from 'node:fs/promises';
import { HostPrecondition } from '@umem/errors';
import { ownUser } from './file-owner.js';

/** f_type of statfs(2), by kind of directory, with the flag that names it. */
const KINDS = {
  tmpfs: { magic: 0x01021994, flag: '--ram-dir', what: 'RAM directory' },
  hugetlbfs: { magic: 0x958458f6, flag: '--hugetlbfs-dir', what: 'Huge page directory' },
} as const;

export type RamDirKind = keyof typeof KINDS;

/** Free space of a file system, in bytes. */
export interface Space {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/**
 * Makes the directory of RAM files when it is missing: passable for VMMs of other users, readable
 * for none. Checks it. Throws HostPrecondition.
 */
export async function prepareRamDir(dir: string, kind: RamDirKind = 'tmpfs'): Promise<void> {
  const { flag } = KINDS[kind];
  try {
    if ((await mkdir(dir, { recursive: true })) !== undefined) await chmod(dir, 0o711);
  } catch (cause) {
    throw new HostPrecondition(`Cannot make RAM directory ${dir}: give another with ${flag}`, { cause });
  }
  const problem = await findRamDirProblem(dir, kind);
  if (problem) throw new HostPrecondition(`${problem.finding}. ${problem.fix}`);
}

/** What is wrong with the directory, and what to do; null when RAM files may be made in it. */
export async function findRamDirProblem(
  dir: string,
  kind: RamDirKind = 'tmpfs',
): Promise<{ finding: string; fix: string } | null> {
  const { magic, flag, what } = KINDS[kind];
  let stats;
  try {
    stats = await lstat(dir);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return { finding: `${what} ${dir} cannot be used (${code})`, fix: `Make it: mkdir -m 711 ${dir}` };
  }
  if (stats.isSymbolicLink())
    return { finding: `${what} ${dir} is a symbolic link`, fix: `Give the real path with ${flag}` };
  if (!stats.isDirectory())
    return {
      finding: `${what} ${dir} is not a directory`,
      fix: `Remove it or give another with ${flag}`,
    };
  const self = ownUser();
  // In a shared place such as /dev/shm anybody may have made it before us.
  if (stats.uid !== self.uid || (stats.mode & 0o022) !== 0)
    return {
      finding: `${what} ${dir} belongs to user ${stats.uid} with mode ${(stats.mode & 0o7777).toString(8)}, so others could swap files in it`,
      fix: `Make it the agent's own: chown ${self.uid} ${dir} && chmod 711 ${dir}`,
    };
  const { type } = await statfs(dir);
  if (type === magic) return null;
  const finding = `${what} ${dir} is on a file system of type 0x${type.toString(16)}`;
  return kind === 'tmpfs'
    ? {
        finding: `${finding}; faults can be caught on a tmpfs with 4 KiB pages only`,
        fix: `Give a directory below /dev/shm or another tmpfs with ${flag}`,
      }
    : { finding: `${finding}, which is no hugetlbfs`, fix: `Mount one: mount -t hugetlbfs none ${dir}` };
}

/** What a tmpfs has left. statfs(2). */
export async function spaceIn(dir: string): Promise<Space> {
  const { bsize, bavail, blocks } = await statfs(dir);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}
