import { chmodSync, chownSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InvalidArgument } from '@umem/errors';
import { native, type NativeUnixListener } from '@umem/native';
import { HandoffConnection, type HandoffRules } from './handoff-connection.js';

/** Longest path of a Unix socket that the kernel takes, in bytes. */
const MAX_SOCKET_PATH_BYTES = 107;

/** A VMM sends one connection per mapping; more at a time is not a VMM. */
const MAX_CONNECTIONS = 64;

/** Where the VMM of a umem set connects. Throws InvalidArgument when the path would be too long. */
export function handoffSocketPath(stateDir: string, name: string): string {
  const path = join(stateDir, 'umem', name, 'handoff.sock');
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH_BYTES)
    throw new InvalidArgument(
      `The handoff socket ${path} has a path of ${bytes} bytes and the kernel allows ${MAX_SOCKET_PATH_BYTES}: use a shorter name or --state-dir`,
    );
  return path;
}

export interface HandoffListenerSettings extends Omit<HandoffRules, 'ended'> {
  readonly path: string;
  /** The state directory, above `path`. */
  readonly stateDir: string;
  /** Owner of the socket when the VMM runs as a user of its own. */
  readonly vmmUserId: number | undefined;
  /** The socket cannot accept any more. */
  failed(error: Error): void;
}

/** The socket on which one VMM hands its memory over. */
export class HandoffListener {
  readonly #listener: NativeUnixListener;
  readonly #directory: string;
  readonly #open = new Set<HandoffConnection>();

  /** Listens at once. Throws what making the socket throws, and leaves nothing behind. */
  constructor(settings: HandoffListenerSettings) {
    this.#directory = dirname(settings.path);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    this.#listener = native.listenUnix(
      settings.path,
      0o600,
      (accepted) => {
        if (this.#open.size >= MAX_CONNECTIONS) return accepted.close();
        const connection = new HandoffConnection(accepted, {
          ...settings,
          ended: (over) => this.#open.delete(over),
        });
        this.#open.add(connection);
        connection.start();
      },
      (error) => settings.failed(error),
    );
    try {
      if (settings.vmmUserId !== undefined) admit(settings.path, settings.stateDir, settings.vmmUserId);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Removes the socket and closes who is still connected. Idempotent. */
  close(): void {
    for (const connection of [...this.#open]) connection.end();
    this.#listener.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Gives the socket to the VMM's user, and lets that user pass through, not look into, the directories above. */
function admit(path: string, stateDir: string, userId: number): void {
  chownSync(path, userId, statSync(path).gid);
  for (let directory = dirname(path); directory.startsWith(stateDir); directory = dirname(directory)) {
    chmodSync(directory, (statSync(directory).mode & 0o7777) | 0o011);
    if (directory === stateDir) break;
  }
}
