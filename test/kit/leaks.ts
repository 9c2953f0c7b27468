import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from './host.js';
import type { Lab } from './lab.js';
import { openFiles } from './process-memory.js';

/** A daemon holds the lock of its state directory for as long as it runs. */
const STATE_DIR_LOCK = /\/lock\.\d+$/;

/** What a host holds for guests: everything here should be gone when no guest is coming in. */
export interface Holdings {
  /** Files in its RAM directory. */
  readonly ramFiles: readonly string[];
  /** Unix sockets below the lab that its services made, other than the ones they listen on. */
  readonly sockets: readonly string[];
  /** Userfaultfds and RAM files that its services have open. */
  readonly descriptors: readonly string[];
}

/** Looks for what a migration may have left behind. */
export async function holdingsOf(lab: Lab, host: Host): Promise<Holdings> {
  const listening = new Set(host.services.map(({ address }) => address.replace(/^unix:/, '')));
  const files = await walk(join(lab.dir, host.name));
  const running = host.services.filter(({ child }) => child.running);
  const descriptors = await Promise.all(running.map(({ child }) => openFiles(child.pid)));
  return {
    ramFiles: (await walk(host.ramDir)).map(({ path }) => path),
    sockets: files
      .filter(({ isSocket, path }) => isSocket && !listening.has(path) && !STATE_DIR_LOCK.test(path))
      .map(({ path }) => path),
    descriptors: descriptors
      .flat()
      .filter((target) => target === 'anon_inode:[userfaultfd]' || target.startsWith(lab.ramDir)),
  };
}

interface Entry {
  readonly path: string;
  readonly isSocket: boolean;
}

async function walk(folder: string): Promise<Entry[]> {
  const names = await readdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const entries = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      // Gone while we look: then it is no leak.
      const status = await lstat(path).catch(() => null);
      return status === null || status.isDirectory() ? null : { path, isSocket: status.isSocket() };
    }),
  );
  return entries.filter((entry) => entry !== null);
}
