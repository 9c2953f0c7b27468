import { once } from 'node:events';
import { credentials, status } from '@grpc/grpc-js';
import { NotFound } from '@umem/errors';
import { expect, onTestFinished, test } from 'vitest';
import { UmemdClient, UmemdService, UmemState, type Umem } from './gen/umem/v1/umemd.js';
import { streaming } from './handlers.js';
import { serve } from './testing/serve.js';

const umem = (name: string): Umem => ({
  name,
  state: UmemState.ARMED,
  blocks: [],
  handoffSocketPath: '',
  lanesConnected: true,
  stats: undefined,
  error: '',
  migrationId: '',
});

/** A stream from a real server that runs `handle`. */
async function watch(handle: (request: { name: string }, signal: AbortSignal) => AsyncIterable<Umem>) {
  const client = new UmemdClient(
    await serve(UmemdService, { watchUmem: streaming(handle) }),
    credentials.createInsecure(),
  );
  onTestFinished(() => client.close());
  const stream = client.watchUmem({ name: 'vm1', intervalMs: 50 });
  stream.on('error', () => {}); // The tests look at the status.
  return stream;
}

test('what a generator yields arrives in order, and its end is OK', async () => {
  const stream = await watch(async function* ({ name }) {
    for (let i = 0; i < 100; i++) yield umem(`${name}-${i}`);
  });
  const ended = once(stream, 'status');
  const names = (await stream.toArray()).map((message) => (message as Umem).name);
  expect(names).toEqual(Array.from({ length: 100 }, (_, i) => `vm1-${i}`));
  expect((await ended)[0]).toMatchObject({ code: status.OK });
});

test('what a generator throws becomes the status, after what it yielded', async () => {
  const stream = await watch(async function* () {
    yield umem('a');
    throw new NotFound('There is no umem "b"');
  });
  const messages: Umem[] = [];
  stream.on('data', (message: Umem) => messages.push(message));
  const [error] = await once(stream, 'error');
  expect(error).toMatchObject({ code: status.NOT_FOUND, details: 'There is no umem "b"' });
  expect(messages).toHaveLength(1);
});

test('a generator that throws at once answers too', async () => {
  // eslint-disable-next-line require-yield
  const stream = await watch(async function* () {
    throw new NotFound('never');
  });
  stream.resume();
  expect((await once(stream, 'error'))[0]).toMatchObject({ code: status.NOT_FOUND });
});

test('a reader that pauses stops the generator, and gets everything when it goes on', async () => {
  const total = 400;
  let made = 0;
  const stream = await watch(async function* () {
    for (; made < total; made++) yield umem('x'.repeat(64 << 10));
  });
  // grpc-js holds the peer back only once something was read.
  await once(stream, 'data');
  stream.pause();
  // Quiet when nothing was made during many rounds of the event loop.
  for (let quiet = 0; quiet < 200;) {
    const before = made;
    await new Promise(setImmediate);
    quiet = made === before ? quiet + 1 : 0;
  }
  expect(made).toBeLessThan(total / 4);
  expect(await stream.toArray()).toHaveLength(total - 1);
});

test('a client that cancels ends a generator that waits', async () => {
  let left = (): void => {};
  const cleanedUp = new Promise<void>((resolve) => (left = resolve));
  const stream = await watch(async function* (_, signal) {
    try {
      yield umem('a');
      await once(signal, 'abort');
    } finally {
      left();
    }
  });
  await once(stream, 'data');
  stream.cancel();
  await cleanedUp;
});

test('a client that cancels while the generator waits for it to read ends it too', async () => {
  let left = (): void => {};
  const cleanedUp = new Promise<void>((resolve) => (left = resolve));
  const stream = await watch(async function* () {
    try {
      for (;;) yield umem('x'.repeat(64 << 10));
    } finally {
      left();
    }
  });
  await once(stream, 'metadata');
  stream.cancel();
  await cleanedUp;
});
