import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createSocket } from 'node:dgram';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { adoptDescriptor, findSocketProblem, native } from '../ts/index.js';

let dir: string;
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'umem-inherited-'))));
afterAll(() => rm(dir, { recursive: true }));

/** The number of the descriptor under a handle of Node.js. */
function fdOf(owner: object): number {
  const { _handle: handle } = owner as { _handle?: { fd?: number } };
  if (handle?.fd === undefined || handle.fd < 0) throw new Error('It has no descriptor');
  return handle.fd;
}

/** Two ends of a connection and the socket that listens for more. */
async function pair(kind: 'unix' | 'tcp'): Promise<{ near: Socket; far: Socket; listener: Server }> {
  const listener = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  const path = join(dir, `${Math.random()}`);
  listener.listen(kind === 'unix' ? { path } : { port: 0, host: '127.0.0.1' });
  await once(listener, 'listening');
  const address = listener.address();
  const to = kind === 'unix' ? { path } : { port: typeof address === 'object' ? (address?.port ?? 0) : 0 };
  const near = connect({ ...to, allowHalfOpen: true });
  const [[far]] = (await Promise.all([once(listener, 'connection'), once(near, 'connect')])) as [
    [Socket],
    unknown,
  ];
  onTestFinished(() => {
    for (const each of [near, far]) each.destroy();
    listener.close();
  });
  return { near, far, listener };
}

for (const kind of ['unix', 'tcp'] as const) {
  test(`a connected ${kind} socket is fine, from either end and with bytes that wait`, async () => {
    const { near, far } = await pair(kind);
    near.write('hello');
    expect(findSocketProblem(fdOf(near))).toBeNull();
    expect(findSocketProblem(fdOf(far))).toBeNull();
    const [bytes] = (await once(far.resume(), 'data')) as [Buffer];
    expect(bytes.toString()).toBe('hello');
  });

  test(`a ${kind} socket that listens is refused`, async () => {
    const { listener } = await pair(kind);
    expect(findSocketProblem(fdOf(listener))).toMatch(/a socket that listens: pass a connection/);
  });

  test(`a ${kind} connection that is half shut is refused at both ends`, async () => {
    const { near, far } = await pair(kind);
    const shut = once(far.resume(), 'end');
    near.end();
    await shut;
    expect(findSocketProblem(fdOf(near))).toMatch(/can send nothing any more: .* in both directions/);
    expect(findSocketProblem(fdOf(far))).toMatch(/receives nothing any more: .* in both directions/);
  });

  test(`a ${kind} connection whose other end is closed is refused`, async () => {
    const { near, far } = await pair(kind);
    far.destroy();
    await once(far, 'close');
    await expect.poll(() => findSocketProblem(fdOf(near))).toMatch(/nothing any more|has ended/);
  });
}

test('a descriptor that is not open is refused, with what the one who starts the process must do', () => {
  const fd = openSync('/dev/null', 'r');
  closeSync(fd);
  expect(findSocketProblem(fd)).toMatch(new RegExp(`^descriptor ${fd} is not open: whoever starts`));
  expect(findSocketProblem(0x7fff_ffff)).toMatch(/is not open/);
});

test.each(['/etc/passwd', '/dev/null', '/'])('%s is refused as no socket', (path) => {
  const fd = openSync(path, 'r');
  onTestFinished(() => closeSync(fd));
  expect(findSocketProblem(fd)).toMatch(/is no socket: pass a connected stream socket/);
});

test('a pipe is refused, even one that is open in both directions', () => {
  const path = join(dir, 'pipe');
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, 'r+');
  onTestFinished(() => closeSync(fd));
  expect(findSocketProblem(fd)).toMatch(/is no socket: .*a pipe or a file carries them one way/);
});

test('a datagram socket is refused', async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  onTestFinished(() => void socket.close());
  await once(socket, 'listening');
  expect(findSocketProblem(fdOf(socket))).toMatch(/of type 2: pass a stream socket/);
});

test('an adopted connection is under another number only, and ends when that is closed', async () => {
  const { near, far } = await pair('unix');
  const inherited = native.dupFd(fdOf(near));
  near.destroy();
  const own = adoptDescriptor(inherited);
  expect(findSocketProblem(inherited)).toMatch(/is not open/);
  expect(findSocketProblem(own)).toBeNull();
  const ended = once(far.resume(), 'end');
  native.closeFd(own);
  await ended;
});
