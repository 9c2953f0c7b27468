import type { Readable } from 'node:stream';
import { fromServiceError, type DeviceStateChunk, type IncomingServiceClient } from '@umem/api';
import { messageOf, PeerUnavailable } from '@umem/errors';

/** Most bytes of device state in one message. */
const MAX_CHUNK_BYTES = 256 << 10;

export interface DeviceStateRoute {
  readonly vm: string;
  readonly migrationId: string;
  /** For messages. */
  readonly peer: string;
  readonly signal: AbortSignal;
}

/**
 * Feeds device state, as the source's VMM writes it, to the destination. Resolves with its size in
 * bytes when the destination has loaded all of it; rejects when either end fails or the signal is
 * aborted, and then stops both.
 */
export function sendDeviceState(
  client: IncomingServiceClient,
  state: Readable,
  { vm, migrationId, peer, signal }: DeviceStateRoute,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const stream = client.loadDeviceState((error) => {
      // When reading failed that is the reason, and this is only its echo.
      if (error) settle(() => reject(fromServiceError(error, peer)));
      else settle(() => resolve(bytes));
    });
    const settle = (finish: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      state.destroy();
      finish();
    };
    const giveUp = (error: Error): void => {
      settle(() => reject(error));
      stream.cancel();
    };
    const onAbort = (): void => giveUp(signal.reason as Error);
    stream.on('error', () => {
      // The callback above hears of it, too.
    });
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });

    stream.write({ name: vm, migrationId, data: Buffer.alloc(0) });
    state.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      let room = true;
      for (let at = 0; at < chunk.length; at += MAX_CHUNK_BYTES)
        room = stream.write(toChunk(chunk.subarray(at, at + MAX_CHUNK_BYTES)));
      if (!room) {
        state.pause();
        stream.once('drain', () => state.resume());
      }
    });
    state.on('end', () => stream.end());
    state.on('error', (error) =>
      giveUp(
        new PeerUnavailable(`The source's VMM did not save its device state: ${messageOf(error)}`, {
          cause: error,
        }),
      ),
    );
  });
}

function toChunk(data: Buffer): DeviceStateChunk {
  return { name: '', migrationId: '', data };
}
