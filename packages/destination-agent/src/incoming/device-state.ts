import type { ServerReadableStream } from '@grpc/grpc-js';
import type { DeviceStateChunk, Incoming } from '@umem/api';
import { Cancelled, InvalidArgument } from '@umem/errors';

/** Most bytes of device state in one message. */
const MAX_CHUNK_BYTES = 1 << 20;

/** Device state on its way in: whose it is, and its bytes. */
export interface DeviceState {
  readonly name: string;
  readonly migrationId: string;
  /** Ends at the source's half-close and rejects when the stream breaks before it. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Aborted with Cancelled when the source gives the call up, also after its half-close. */
  readonly signal: AbortSignal;
}

/** Reads the first message of a LoadDeviceState call. Throws InvalidArgument when it names no VM. */
export async function receiveDeviceState(
  call: ServerReadableStream<DeviceStateChunk, Incoming>,
): Promise<DeviceState> {
  const gaveUp = new AbortController();
  call.on('cancelled', () => gaveUp.abort(new Cancelled('The source gave up sending device state')));
  const chunks: AsyncIterator<DeviceStateChunk> = call[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done || first.value.name === '')
    throw new InvalidArgument('The first message of LoadDeviceState must name the VM; it named none');
  const { name, migrationId, data } = first.value;
  return { name, migrationId, bytes: bytesOf({ name, migrationId }, data, chunks), signal: gaveUp.signal };
}

async function* bytesOf(
  named: { name: string; migrationId: string },
  firstData: Uint8Array,
  chunks: AsyncIterator<DeviceStateChunk>,
): AsyncGenerator<Uint8Array> {
  if (firstData.length > 0) yield checked(firstData);
  for (;;) {
    const next = await chunks.next();
    if (next.done) return;
    const { name, migrationId, data } = next.value;
    if ((name !== '' && name !== named.name) || (migrationId !== '' && migrationId !== named.migrationId))
      throw new InvalidArgument(
        `A chunk of device state is for "${name}" of migration "${migrationId}", but the stream is for "${named.name}" of migration "${named.migrationId}"`,
      );
    yield checked(data);
  }
}

function checked(data: Uint8Array): Uint8Array {
  if (data.length <= MAX_CHUNK_BYTES) return data;
  throw new InvalidArgument(
    `A chunk of device state has ${data.length} bytes: send at most ${MAX_CHUNK_BYTES} in one message`,
  );
}
