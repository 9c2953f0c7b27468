import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Stats } from 'node:fs';
import { HostPrecondition } from '@umem/errors';
import type { Owner } from './file-owner.js';

/**
 * First directory above `path` that `owner` may not pass, from the root down; null when the way is
 * free. Counts the owner's own group only, because a launched VMM has no other. Throws what stat(2)
 * reports.
 */
export async function findClosedDirectory(path: string, owner: Owner): Promise<string | null> {
  if (owner.uid === 0) return null;
  const parents: string[] = [];
  for (let dir = dirname(path); ; dir = dirname(dir)) {
    parents.unshift(dir);
    if (dir === dirname(dir)) break;
  }
  for (const dir of parents) if (!allows(await stat(dir), owner, 0o1)) return dir;
  return null;
}

/** Whether the mode of a file gives `owner` these rights: 4 read, 2 write, 1 execute or pass. */
export function allows(stats: Pick<Stats, 'mode' | 'uid' | 'gid'>, owner: Owner, rights: number): boolean {
  if (owner.uid === 0) return true;
  const shift = stats.uid === owner.uid ? 6 : stats.gid === owner.gid ? 3 : 0;
  return ((stats.mode >> shift) & rights) === rights;
}

/** Throws HostPrecondition unless `owner` may pass every directory above `path`. */
export async function requireReach(path: string, owner: Owner): Promise<void> {
  const closed = await findClosedDirectory(path, owner);
  if (closed !== null)
    throw new HostPrecondition(
      `A VMM of ${owner.name} cannot reach ${path}: ${closed} is closed to it. Open it: chmod a+x ${closed}`,
    );
}
