import { readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { native, type NativeUnixConnection, type NativeUnixListener } from '../ts/index.js';
import { makeDirectory, openFdsOf, runPeer } from './kit/process.js';

const directory = makeDirectory();
afterAll(() => directory.remove());

let count = 0;
let listener: NativeUnixListener | null = null;
afterEach(() => {
  listener?.close();
  listener = null;
  expect(openFdsOf('umem-sent')).toEqual([]);
});

/** Listens on a new path; `onConnection` gets what connects. */
function listen(onConnection: (connection: NativeUnixConnection) => void): string {
  const path = join(directory.path, `${count++}.sock`);
  listener = native.listenUnix(path, 0o600, onConnection, (error) => {
    throw error;
  });
  return path;
}

interface Conversation {
  text: string;
  fds: number[];
  error: Error | null;
}

/** Listens for one peer and reads it to its end. */
function converse(onText?: (text: string, connection: NativeUnixConnection) => void) {
  const conversation: Conversation = { text: '', fds: [], error: null };
  let finish: (value: Conversation) => void = () => undefined;
  const ended = new Promise<Conversation>((resolve) => (finish = resolve));
  const path = listen((connection) => {
    connection.start(
      (bytes, fds) => {
        conversation.text += bytes.toString();
        conversation.fds.push(...fds);
        onText?.(conversation.text, connection);
      },
      (error) => {
        connection.close();
        finish({ ...conversation, error });
      },
    );
  });
  return { path, ended };
}

describe('a Unix connection', () => {
  it('knows who connected', async () => {
    let peer: unknown = null;
    const path = listen((connection) => {
      peer = connection.peer;
      connection.close();
    });
    expect(await runPeer(path, 'end')).toMatchObject({ code: 0 });
    expect(peer).toEqual({ pid: expect.any(Number), uid: process.getuid?.(), gid: process.getgid?.() });
    expect(peer).not.toMatchObject({ pid: process.pid });
  });

  it('gives bytes and the descriptors that came with them, close-on-exec', async () => {
    const { path, ended } = converse();
    await runPeer(path, 'fds:2:hello');
    const { text, fds, error } = await ended;
    expect([text, fds.length, error]).toEqual(['hello', 2, null]);
    for (const fd of fds) {
      expect(readlinkSync(`/proc/self/fd/${fd}`)).toContain('/memfd:umem-sent');
      const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
      expect(parseInt(flags, 8) & 0o2000000).not.toBe(0);
      native.closeFd(fd);
    }
  });

  it('takes a message in pieces, with descriptors in any of them', async () => {
    const { path, ended } = converse((text, connection) => {
      if (text.endsWith('.')) connection.write(Buffer.from(`${text.length}.`));
    });
    await runPeer(
      path,
      'text:one.',
      'await:4.',
      'fds:1:two.',
      'await:8.',
      'text:three.',
      'await:14.',
      'fds:3:four.',
      'await:19.',
    );
    const { text, fds } = await ended;
    expect(text).toBe('one.two.three.four.');
    expect(fds).toHaveLength(4);
    fds.forEach((fd) => native.closeFd(fd));
  });

  it('with as many descriptors as there is room for gives all of them', async () => {
    const { path, ended } = converse();
    await runPeer(path, 'fds:64:x');
    const { fds, error } = await ended;
    expect([fds.length, error]).toEqual([64, null]);
    fds.forEach((fd) => native.closeFd(fd));
  });

  it('with more descriptors than there is room for ends with an error, and none leaks', async () => {
    for (const number of [65, 253]) {
      const { path, ended } = converse();
      await runPeer(path, 'text:before', `fds:${number}:too many`);
      const { fds, error } = await ended;
      expect(fds).toEqual([]);
      expect(error).toMatchObject({ syscall: 'recvmsg', errno: constants.errno.EMSGSIZE });
      expect(openFdsOf('umem-sent')).toEqual([]);
      listener?.close();
    }
  });

  it('reads on after its peer has shut down, and can answer', async () => {
    const path = listen((connection) => {
      connection.start(
        () => undefined,
        (error) => {
          expect(error).toBeNull();
          connection.write(Buffer.from('READY\n'));
          connection.close();
        },
      );
    });
    expect(await runPeer(path, 'text:x', 'shut', 'await:READY')).toMatchObject({ code: 0 });
  });

  it('reads what was sent before its peer reset the connection, then tells the error', async () => {
    const seen: (string | Error | null)[] = [];
    let started = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      const path = listen((connection) => {
        // Unread by the peer when it closes: that makes a reset of what is otherwise an end of file.
        connection.write(Buffer.from('never read'));
        started = () =>
          connection.start(
            (bytes) => seen.push(bytes.toString()),
            (error) => {
              seen.push(error);
              connection.close();
              resolve();
            },
          );
      });
      runPeer(path, 'text:last words', 'peek').then(
        () => started(),
        () => undefined,
      );
    });
    await closed;
    expect(seen[0]).toBe('last words');
    expect(seen[1]).toMatchObject({ code: 'ERR_UMEM_NATIVE', errno: constants.errno.ECONNRESET });
  });

  it('may be closed in its callback, with more to read', async () => {
    let calls = 0;
    const { path } = converse((_text, connection) => {
      calls++;
      connection.close();
      connection.close();
      expect(() => connection.write(Buffer.from('x'))).toThrow('The connection is closed');
    });
    await runPeer(path, 'text:one', 'end');
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toBe(1);
  });

  it('throws EAGAIN when its peer does not read, and EPIPE when it is gone', async () => {
    const errors: unknown[] = [];
    const write = (connection: NativeUnixConnection) => {
      try {
        connection.write(new Uint8Array(1 << 24));
      } catch (error) {
        errors.push(error);
      }
    };
    await new Promise<void>((resolve) => {
      const path = listen((connection) => {
        write(connection);
        socket.destroy();
        connection.start(
          () => undefined,
          () => {
            write(connection);
            connection.close();
            resolve();
          },
        );
      });
      const socket = connect(path).pause();
    });
    expect(errors).toMatchObject([
      { syscall: 'send', errno: constants.errno.EAGAIN },
      { syscall: 'send', errno: constants.errno.EPIPE },
    ]);
  });

  it('can be started once', async () => {
    const path = listen((connection) => {
      connection.start(
        () => undefined,
        () => undefined,
      );
      expect(() =>
        connection.start(
          () => undefined,
          () => undefined,
        ),
      ).toThrow('already');
      connection.close();
    });
    expect(await runPeer(path, 'end')).toMatchObject({ code: 0 });
  });
});
