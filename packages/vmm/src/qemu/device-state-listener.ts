import { access, chmod, chown, rm, stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { HostPrecondition, messageOf } from '@umem/errors';
import { checkSocketPath } from './socket-path.js';

/** A Unix socket that takes one connection: the VMM's, with its device state. */
export interface DeviceStateListener {
  /** The first connection; never settles when none comes. */
  readonly connection: Promise<Socket>;
  /** Stops listening and removes the socket file; an accepted connection stays. Idempotent. */
  close(): void;
}

/** Listens; only this user, and the one that runs process `vmmPid`, can connect. */
export async function listenForDeviceState(
  path: string,
  vmmPid: number | null,
): Promise<DeviceStateListener> {
  checkSocketPath(path);
  const server = createServer();
  const connection = new Promise<Socket>((resolve) => {
    server.on('connection', (socket) => {
      if (server.listening) {
        server.close();
        resolve(socket);
      } else socket.destroy();
    });
  });
  const close = () => {
    if (server.listening) server.close();
  };
  try {
    // Asked for by itself, because listening calls a missing directory a missing permission.
    await access(dirname(path));
    // A socket file of an agent that was killed; nothing listens there.
    await rm(path, { force: true });
    await listen(server, path);
    await chmod(path, 0o600);
    if (vmmPid !== null) await giveTo(path, vmmPid);
  } catch (cause) {
    close();
    throw new HostPrecondition(`Cannot listen for device state on ${path}: ${messageOf(cause)}`, { cause });
  }
  return { connection, close };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

/** VMMs often run as their own user. */
async function giveTo(path: string, pid: number): Promise<void> {
  const owner = await stat(`/proc/${pid}`);
  if (process.getuid?.() === 0 && owner.uid !== 0) await chown(path, owner.uid, owner.gid);
}
