import { join } from 'node:path';
import type { Lab } from './lab.js';
import { repositoryRoot } from './repository.js';

/**
 * Has every page of a process's mapping of `path` touched from outside. A machine has pages that
 * its guest can never reach (those under the VGA hole, for one), so that without background pages
 * a QEMU guest alone does not end its migration.
 */
export async function touchMemory(lab: Lab, pid: number, path: string): Promise<void> {
  const script = join(repositoryRoot, 'test/kit/touch-memory.py');
  const child = await lab.start({ name: 'touch-memory', command: 'python3', args: [script, `${pid}`, path] });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`Could not touch the memory of process ${pid}: ${child.log}`);
}
