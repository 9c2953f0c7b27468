import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Cancelled, HostPrecondition } from '@umem/errors';
import { listenForDeviceState } from './device-state-listener.js';
import { MigrationWatch } from './migration-watch.js';
import type { QmpClient } from './qmp-client.js';
import { nothing } from './qmp-replies.js';

/** Longest time between the end of a save and the sight of its connection, in milliseconds. */
const CONNECTION_GRACE_MS = 5000;

/** Device state on its way out of a VMM. */
export interface DeviceStateSave {
  readonly stream: Readable;
  /** Gives up: the stream errors. The VMM notices by itself. Idempotent. */
  abandon(): void;
}

/**
 * Makes a stopped VMM write its device state to a Unix socket. The stream ends when the VMM has
 * written all and says that it has completed; it errors with the VMM's words when it failed.
 */
export async function startSave(
  qmp: QmpClient,
  socketPath: string,
  vmmPid: number | null,
): Promise<DeviceStateSave> {
  const listener = await listenForDeviceState(socketPath, vmmPid);
  const watch = new MigrationWatch(qmp, 'saving device state');
  try {
    await qmp.execute('migrate', nothing, { uri: `unix:${socketPath}` });
    watch.started();
    const socket = await Promise.race([listener.connection, failureOf(watch)]);
    // Its error reaches the stream's reader; before there is one, nobody needs it.
    socket.on('error', () => undefined);
    const abandon = () => {
      watch.stop(new Cancelled('Saving device state was given up'));
      socket.destroy(new Cancelled('Saving device state was given up'));
    };
    const stream = Readable.from(readDeviceState(socket, watch), { objectMode: false });
    return { stream, abandon };
  } catch (error) {
    watch.stop(new Cancelled('Saving device state did not start'));
    throw error;
  } finally {
    listener.close();
  }
}

/**
 * Rejects when the VMM fails before it connects. That it has completed is no failure: a small state
 * fits the socket's buffer, so the connection may be seen after the completion.
 */
async function failureOf(watch: MigrationWatch): Promise<never> {
  await watch.completed;
  await delay(CONNECTION_GRACE_MS, undefined, { ref: false });
  throw new HostPrecondition('The VMM says that it saved its device state, but it never connected');
}

async function* readDeviceState(socket: Socket, watch: MigrationWatch): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of socket) if (Buffer.isBuffer(chunk)) yield chunk;
  } catch (error) {
    // A broken socket is the effect; why the migration failed is what QMP says.
    await watch.completed;
    throw error;
  } finally {
    socket.destroy();
  }
  await watch.completed;
}
