import { link, readdir, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { HostPrecondition } from '@umem/errors';
import { canConnect } from '../server/unix-socket.js';

/** Holds a state directory until `release` or the end of the process, however it ends. */
export interface StateDirLock {
  release(): Promise<void>;
}

/**
 * Locks the directory with a listening socket in it: the kernel stops answering for a process that
 * was killed, in containers too, where a process id would mean nothing.
 *
 * Sockets are named `lock.1`, `lock.2` and so on, and only the highest counts. Whoever finds it dead
 * takes the next number with link(2), which one of several wins, and removes the older ones. Numbers
 * never go down while a socket is left, so a slow starter that takes a number already given up sees
 * a higher one after it and begins again.
 */
export async function lockStateDir(dir: string): Promise<StateDirLock> {
  const own = join(dir, `lock-${process.pid}-${Math.random().toString(36).slice(2, 8)}`);
  const server = await listen(own);
  try {
    await claim(dir, own);
  } catch (error) {
    await close(server); // removes `own` as well
    throw error;
  }
  await rm(own, { force: true });
  // The dead socket stays under its number for the next to count on.
  return { release: () => close(server) };
}

async function claim(dir: string, own: string): Promise<void> {
  for (;;) {
    const highest = Math.max(0, ...(await numbers(dir)));
    if (highest > 0 && (await canConnect(join(dir, `lock.${highest}`))))
      throw new HostPrecondition(
        `State directory ${dir} is in use by another process: stop it, or give each daemon its own --state-dir`,
      );
    const mine = highest + 1;
    if (!(await linked(own, join(dir, `lock.${mine}`)))) continue;
    const now = await numbers(dir);
    if (Math.max(...now) > mine) {
      await rm(join(dir, `lock.${mine}`), { force: true });
      continue;
    }
    for (const older of now) if (older < mine) await rm(join(dir, `lock.${older}`), { force: true });
    return;
  }
}

async function numbers(dir: string): Promise<number[]> {
  return (await readdir(dir)).flatMap((file) => /^lock\.(\d+)$/.exec(file)?.[1] ?? []).map(Number);
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Whoever connects only wants to know that somebody answers.
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(path, () => resolve(server.unref()));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
