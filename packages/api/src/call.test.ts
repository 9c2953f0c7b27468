import { credentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { Cancelled, DeadlineExceeded } from '@umem/errors';
import { expect, onTestFinished, test } from 'vitest';
import { call } from './call.js';
import { UmemdClient, UmemdService, type Umem } from './gen/umem/v1/umemd.js';
import { serve } from './testing/serve.js';

/** A server that never answers; `asked` resolves with each call, `cancelled` when it is given up. */
async function silentServer() {
  let ask = (): void => {};
  let cancel = (): void => {};
  const asked = new Promise<void>((resolve) => (ask = resolve));
  const cancelled = new Promise<void>((resolve) => (cancel = resolve));
  const getUmem = (pending: ServerUnaryCall<unknown, Umem>, _: sendUnaryData<Umem>): void => {
    pending.on('cancelled', cancel);
    ask();
  };
  const client = new UmemdClient(await serve(UmemdService, { getUmem }), credentials.createInsecure());
  onTestFinished(() => client.close());
  return { client, asked, cancelled };
}

test('a call that takes too long fails with DeadlineExceeded', async () => {
  const { client } = await silentServer();
  await expect(call(client, client.getUmem, { name: 'x' }, { peer: 'p', timeoutMs: 30 })).rejects.toThrow(
    DeadlineExceeded,
  );
});

test('an abort gives the call up at both ends', async () => {
  const { client, asked, cancelled } = await silentServer();
  const stop = new AbortController();
  const pending = call(client, client.getUmem, { name: 'x' }, { peer: 'p', signal: stop.signal });
  await asked;
  stop.abort();
  await expect(pending).rejects.toThrow(Cancelled);
  await cancelled;
});

test('a signal that was aborted before does not let the call begin', async () => {
  const { client } = await silentServer();
  await expect(
    call(client, client.getUmem, { name: 'x' }, { peer: 'p', signal: AbortSignal.abort() }),
  ).rejects.toThrow(Cancelled);
});
