import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  Cancelled,
  DeadlineExceeded,
  HostPrecondition,
  InvalidArgument,
  PeerUnavailable,
} from '@umem/errors';
import { GREETING, listenAs, serveQmp } from '../testing/qmp-peer.js';
import { Scratch } from '../testing/scratch.js';
import { QmpClient } from './qmp-client.js';
import { QmpError } from './qmp-error.js';

const scratch = new Scratch();
afterEach(() => scratch.clean());

async function connect(path: string, timeoutMs = 5000, commandTimeoutMs = 5000): Promise<QmpClient> {
  const client = await QmpClient.connect(path, { timeoutMs, commandTimeoutMs });
  scratch.defer(() => client.close());
  return client;
}

function ended(client: QmpClient): Promise<Error | null> {
  return new Promise((resolve) => client.onEnd(resolve));
}

describe('a QMP peer that behaves', () => {
  it('is told apart by its version and answers commands out of order', async () => {
    const held: string[] = [];
    const path = await listenAs(
      scratch,
      serveQmp(({ execute, id }, socket) => {
        if (execute === 'first') held.push(id);
        else socket.write(`{"return":2,"id":"${id}"}\n{"return":1,"id":"${held[0] ?? ''}"}\n`);
      }),
    );
    const client = await connect(path);
    expect(client.version).toMatchObject({ qemu: { major: 7, minor: 2, micro: 22 } });
    const replies = [client.execute('first', z.number()), client.execute('second', z.number())];
    expect(await Promise.all(replies)).toEqual([1, 2]);
  });

  it('delivers events to their listeners until they are removed', async () => {
    const event = '{"event":"STOP","data":{"n":1},"timestamp":{"seconds":1,"microseconds":2}}\n';
    const path = await listenAs(
      scratch,
      serveQmp(({ id }, socket) => socket.write(`${event}{"event":"OTHER"}\n{"return":{},"id":"${id}"}\n`)),
    );
    const client = await connect(path);
    const seen: unknown[] = [];
    const remove = client.onEvent('STOP', (data) => seen.push(data));
    await client.execute('go', z.unknown());
    remove();
    await client.execute('go', z.unknown());
    expect(seen).toEqual([{ n: 1 }]);
  });

  it('may refuse a command: the error has its class and its words', async () => {
    const path = await listenAs(
      scratch,
      serveQmp(({ id }, socket) =>
        socket.write(`{"id":"${id}","error":{"class":"CommandNotFound","desc":"No such thing"}}\n`),
      ),
    );
    const client = await connect(path);
    const error: unknown = await client.execute('nonsense', z.unknown()).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(QmpError);
    expect(error).toMatchObject({
      qmpClass: 'CommandNotFound',
      qmpDesc: 'No such thing',
      isCommandNotFound: true,
    });
  });

  it('may answer late: the command times out, the answer is ignored, the connection goes on', async () => {
    let late = '';
    const path = await listenAs(
      scratch,
      serveQmp(({ execute, id }, socket) => {
        if (execute === 'slow') late = id;
        else socket.write(`{"return":"late","id":"${late}"}\n{"return":"quick","id":"${id}"}\n`);
      }),
    );
    const client = await connect(path);
    await expect(client.execute('slow', z.unknown(), undefined, 50)).rejects.toThrow(DeadlineExceeded);
    expect(await client.execute('quick', z.string())).toBe('quick');
  });

  it('may answer in another shape: the command is rejected by name', async () => {
    const path = await listenAs(
      scratch,
      serveQmp(({ id }, socket) => socket.write(`{"return":7,"id":"${id}"}\n`)),
    );
    const client = await connect(path);
    await expect(client.execute('query-name', z.string())).rejects.toThrow(/query-name has a shape/);
  });
});

describe('a QMP peer that appears late', () => {
  it('is waited for', async () => {
    const path = await scratch.path('late.qmp');
    const connecting = connect(path);
    await listenAs(
      scratch,
      serveQmp(() => undefined),
      path,
    );
    expect((await connecting).version.package).toBe('test');
  });

  it('is given up after the timeout, with the path and what to do', async () => {
    const path = await scratch.path('never.qmp');
    const error: unknown = await connect(path, 100).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(PeerUnavailable);
    expect(String(error)).toContain(`Nobody listens on ${path} (ENOENT)`);
  });

  it('is given up when the caller aborts', async () => {
    const path = await scratch.path('never.qmp');
    const connecting = QmpClient.connect(path, { timeoutMs: 60_000, signal: AbortSignal.timeout(50) });
    await expect(connecting).rejects.toThrow(Cancelled);
  });

  it('cannot have a path that no socket can have', async () => {
    await expect(connect(`/tmp/${'x'.repeat(120)}`)).rejects.toThrow(InvalidArgument);
  });
});

describe('a QMP peer that misbehaves', () => {
  it('by never greeting is given up in time, with the likely reason', async () => {
    const path = await listenAs(scratch, () => undefined);
    const error: unknown = await connect(path, 100).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(PeerUnavailable);
    expect(String(error)).toMatch(/within 100 ms: QEMU serves one client per QMP socket/);
  });

  it('by never greeting can be aborted', async () => {
    const path = await listenAs(scratch, () => undefined);
    const connecting = QmpClient.connect(path, { timeoutMs: 60_000, signal: AbortSignal.timeout(50) });
    await expect(connecting).rejects.toThrow(Cancelled);
  });

  it('by never accepting the handshake is given up in time', async () => {
    const path = await listenAs(scratch, (socket) => socket.write(GREETING));
    await expect(connect(path, 100)).rejects.toThrow(DeadlineExceeded);
  });

  it.each([
    ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n', /not JSON: "SSH-2.0/],
    ['JSON that is no QMP', '{"hello":"world"}\n', /no QMP message/],
    ['a JSON array', '[1,2,3]\n', /no QMP message/],
    ['a greeting without version', '{"QMP":{"capabilities":[]}}\n', /no QMP message/],
    ['binary bytes', Buffer.from([0, 255, 254, 10]), /not JSON/],
  ])('by greeting with %s is refused', async (_, greeting, message) => {
    const path = await listenAs(scratch, (socket) => socket.write(greeting));
    const connecting = connect(path);
    await expect(connecting).rejects.toThrow(HostPrecondition);
    await expect(connecting).rejects.toThrow(message);
  });

  it('by a line without end is dropped before it fills memory', async () => {
    const path = await listenAs(scratch, (socket) => {
      const block = Buffer.alloc(64 * 1024, 0x20);
      const pour = () => {
        while (!socket.destroyed && socket.write(block)) continue;
      };
      socket.on('drain', pour);
      pour();
    });
    await expect(connect(path)).rejects.toThrow(/a line is longer than 4194304 bytes/);
  });

  it('by hanging up before the greeting is reported at once', async () => {
    const path = await listenAs(scratch, (socket) => socket.destroy());
    await expect(connect(path)).rejects.toThrow(PeerUnavailable);
  });

  it.each([
    ['an id that was never sent', '{"return":{},"id":"umem-99"}\n', /was not sent \(id "umem-99"\)/],
    ['an id of another type', '{"return":{},"id":7}\n', /was not sent \(id 7\)/],
    [
      'no id',
      '{"error":{"class":"GenericError","desc":"JSON parse error"}}\n',
      /was not sent \(id missing\)/,
    ],
    ['a second greeting', GREETING, /greets twice/],
  ])('by answering with %s loses the connection and all that is pending', async (_, answer, message) => {
    const path = await listenAs(
      scratch,
      serveQmp((_request, socket) => socket.write(answer)),
    );
    const client = await connect(path);
    const end = ended(client);
    const pending = [client.execute('a', z.unknown()), client.execute('b', z.unknown())];
    for (const result of await Promise.allSettled(pending))
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { message: expect.stringMatching(message) as string },
      });
    expect((await end)?.message).toMatch(message);
    await expect(client.execute('c', z.unknown())).rejects.toThrow(PeerUnavailable);
  });

  it('by answering one command twice loses the connection', async () => {
    const path = await listenAs(
      scratch,
      serveQmp(({ id }, socket) => socket.write(`{"return":1,"id":"${id}"}\n{"return":2,"id":"${id}"}\n`)),
    );
    const client = await connect(path);
    expect(await client.execute('a', z.number())).toBe(1);
    expect((await ended(client))?.message).toMatch(/was not sent/);
  });
});

describe('the end of a QMP connection', () => {
  it('rejects what is pending when the VMM hangs up', async () => {
    const path = await listenAs(
      scratch,
      serveQmp((_request, socket) => socket.destroy()),
    );
    const client = await connect(path);
    const end = ended(client);
    await expect(client.execute('a', z.unknown())).rejects.toThrow(PeerUnavailable);
    expect(await end).toBeInstanceOf(PeerUnavailable);
  });

  it('is no loss when we close, rejects what is pending, and may be repeated', async () => {
    const path = await listenAs(
      scratch,
      serveQmp(() => undefined),
    );
    const client = await connect(path);
    const end = ended(client);
    const pending = client.execute('a', z.unknown());
    client.close();
    client.close();
    await expect(pending).rejects.toThrow(Cancelled);
    expect(await end).toBeNull();
    expect(await ended(client)).toBeNull();
  });
});
