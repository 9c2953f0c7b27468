import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Cancelled, HostPrecondition, PeerUnavailable } from '@umem/errors';

const RETRY_INTERVAL_MS = 25;

export interface OpenSocketOptions {
  /** When to give up, in milliseconds of `performance.now()`. */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects to a Unix socket; while nobody listens there (a VMM that is starting) it tries again
 * until the deadline. Rejects with PeerUnavailable, HostPrecondition or Cancelled.
 */
export async function openSocket(path: string, { deadline, signal }: OpenSocketOptions): Promise<Socket> {
  for (;;) {
    throwIfAborted(path, signal);
    const outcome = await tryConnect(path);
    if (!(outcome instanceof Error)) return outcome;
    if (!isNobodyListening(outcome))
      throw new HostPrecondition(
        `Cannot connect to ${path}: ${outcome.message}; let the agent's user read and write that socket`,
        { cause: outcome, metadata: { path } },
      );
    if (performance.now() + RETRY_INTERVAL_MS > deadline)
      throw new PeerUnavailable(
        `Nobody listens on ${path} (${outcome.code}): check the path and that the VMM is running with -qmp unix:${path},server=on,wait=off`,
        { cause: outcome, metadata: { path } },
      );
    await delay(RETRY_INTERVAL_MS);
  }
}

export function throwIfAborted(path: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new Cancelled(`Connecting to ${path} was cancelled`, { cause: signal.reason, metadata: { path } });
}

interface SystemError extends Error {
  code: string;
}

function isNobodyListening(error: Error): error is SystemError {
  return (
    'code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'EAGAIN')
  );
}

function tryConnect(path: string): Promise<Socket | Error> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.removeListener('error', resolve);
      resolve(socket);
    });
    socket.once('error', resolve);
  });
}
