import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { HostPrecondition } from '@umem/errors';

/** Whether somebody listens on a Unix socket. */
export function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Only these two say that nobody is there: a full queue, for one, means a busy owner.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

/**
 * Makes `path` free to bind: removes a socket that a killed process left behind. Throws
 * HostPrecondition when somebody listens there or when it is not a socket.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (found === null) return;
  if (!found.isSocket())
    throw new HostPrecondition(
      `Cannot listen on unix:${path}: there is something that is not a socket; remove it or choose another path`,
    );
  if (await canConnect(path))
    throw new HostPrecondition(
      `Cannot listen on unix:${path}: another process does; stop it or choose another path`,
    );
  await unlink(path);
}
