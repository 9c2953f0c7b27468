import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { native, UFFD_FEATURE } from '../ts/index.js';
import { builtPackage, makeDirectory, nobody, openFdsOf, runNode } from './kit/process.js';

const directory = makeDirectory();
afterAll(() => directory.remove());

/** Starts polls of each kind; then `end` decides how the thread goes. */
const activePolls = (socket: string, end: string) => `
  const uffd = native.createUserfaultfd(0n);
  uffd.startEvents(16, () => {}, () => {});
  const listener = native.listenUnix(${JSON.stringify(socket)}, 0o600, (connection) => {
    connection.start(() => {}, () => {});
    ${end}
  }, () => {});
  const reader = native.openRamReader(native.createMemfd('ram', 4096), 4096);
  const { connect } = await import('node:net');
  connect(${JSON.stringify(socket)}).on('error', () => {});
`;

const inWorker = (code: string) =>
  new Worker(
    `import(${JSON.stringify(builtPackage)}).then(async (umem) => {
       const { native } = umem;
       const { parentPort } = await import('node:worker_threads');
       ${code}
     });`,
    { eval: true },
  );

describe('objects', () => {
  it('can be closed twice, and refuse to work afterwards', () => {
    const uffd = native.createUserfaultfd(0n);
    uffd.close();
    uffd.close();
    expect(() => uffd.wake(0x1000n, 4096)).toThrow('The userfaultfd is closed');
    expect(() => uffd.copy(0x1000n, new Uint8Array(4096), 0, 4096)).toThrow('closed');
    expect(() =>
      uffd.startEvents(
        1,
        () => undefined,
        () => undefined,
      ),
    ).toThrow('closed');
    expect(() => uffd.stopEvents()).toThrow('closed');

    const memfd = native.createMemfd('closed', 4096);
    const reader = native.openRamReader(memfd, 4096);
    native.closeFd(memfd);
    reader.close();
    reader.close();
    expect(() => reader.read(0, 1, new Uint8Array(1), 0)).toThrow('The RAM reader is closed');
    expect(() => reader.classify(0, 1, 4096, new Int16Array(1))).toThrow('closed');

    const path = join(directory.path, 'twice.sock');
    const listener = native.listenUnix(
      path,
      0o600,
      () => undefined,
      () => undefined,
    );
    expect(existsSync(path)).toBe(true);
    listener.close();
    listener.close();
    expect(existsSync(path)).toBe(false);
  });

  it('close their descriptors', () => {
    const before = openFdsOf('[userfaultfd]').length;
    const uffd = native.createUserfaultfd(0n);
    expect(openFdsOf('[userfaultfd]').length).toBe(before + 1);
    uffd.close();
    expect(openFdsOf('[userfaultfd]').length).toBe(before);
    const memfd = native.createMemfd('lifecycle-fd', 8192);
    const reader = native.openRamReader(memfd, 8192);
    expect(openFdsOf('lifecycle-fd').length).toBe(2);
    native.closeFd(memfd);
    reader.close();
    expect(openFdsOf('lifecycle-fd')).toEqual([]);
  });

  it('that are forgotten are closed by the garbage collector', async () => {
    const result = await runNode(`
      import { setFlagsFromString } from 'node:v8';
      import { runInNewContext } from 'node:vm';
      import { readdirSync, readlinkSync } from 'node:fs';
      setFlagsFromString('--expose-gc');
      const gc = runInNewContext('gc');
      const count = () => readdirSync('/proc/self/fd').filter((fd) => {
        try { return readlinkSync('/proc/self/fd/' + fd).includes('userfaultfd'); } catch { return false; }
      }).length;
      for (let i = 0; i < 50; i++) native.createUserfaultfd(0n);
      const before = count();
      while (count() > 0) { gc(); await new Promise((resolve) => setImmediate(resolve)); }
      console.log(before);
    `);
    expect(result).toMatchObject({ code: 0, stdout: '50\n' });
  });

  it('that poll stay alive without a reference, and keep the process alive', async () => {
    const result = await runNode(`
      import { setFlagsFromString } from 'node:v8';
      import { runInNewContext } from 'node:vm';
      import { connect } from 'node:net';
      setFlagsFromString('--expose-gc');
      const gc = runInNewContext('gc');
      const path = ${JSON.stringify(join(directory.path, 'alive.sock'))};
      let listener = native.listenUnix(path, 0o600, (connection) => {
        connection.start((bytes) => { gc(); console.log(bytes.toString()); }, () => { gc(); connection.close(); listener.close(); });
        connection.write(Buffer.from('x'));
      }, () => {});
      for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setImmediate(resolve)); }
      connect(path).on('data', function () { this.end('hello'); });
    `);
    expect(result).toMatchObject({ code: 0, stdout: 'hello\n', stderr: '' });
  });
});

describe('an environment', () => {
  it('that exits while polls are active ends in peace', async () => {
    const code = activePolls(join(directory.path, 'exit.sock'), 'process.exit(7);');
    expect(await runNode(code)).toEqual({ code: 7, signal: null, stdout: '', stderr: '' });
  });

  it('that is a worker thread may be terminated, may exit, and may end by itself', async () => {
    for (const [index, end] of ["parentPort.postMessage('up');", 'process.exit(5);'].entries()) {
      const worker = inWorker(activePolls(join(directory.path, `worker-${index}.sock`), end));
      const exited = once(worker, 'exit');
      if (index === 0) {
        await once(worker, 'message');
        await worker.terminate();
        expect(await exited).toEqual([1]);
      } else {
        expect(await exited).toEqual([5]);
      }
    }
    const worker = inWorker('native.createUserfaultfd(0n).close();');
    expect(await once(worker, 'exit')).toEqual([0]);
  });

  it('that is a worker leaves no descriptor behind', async () => {
    const before = openFdsOf('[userfaultfd]').length;
    const workers = [1, 2, 3].map((i) =>
      inWorker(activePolls(join(directory.path, `leak-${i}.sock`), "parentPort.postMessage('up');")),
    );
    await Promise.all(
      workers.map(async (worker) => {
        await once(worker, 'message');
        await worker.terminate();
      }),
    );
    expect(openFdsOf('[userfaultfd]').length).toBe(before);
  });

  it('has its own classes: each worker gets errors that are instances of its NativeError', async () => {
    const worker = inWorker(`
      try { native.pidfdOpen(0x7fffffff); } catch (error) {
        parentPort.postMessage([error instanceof umem.NativeError, error.errnoName]);
      }`);
    // A worker's last message and its end may be delivered in one go: both are waited for from the start.
    const [message] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    expect(message).toEqual([[true, 'ESRCH']]);
  });

  it('gets what a callback throws as an uncaught exception', async () => {
    const result = await runNode(`
      process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      import { connect } from 'node:net';
      const path = ${JSON.stringify(join(directory.path, 'throw.sock'))};
      const listener = native.listenUnix(path, 0o600, (connection) => {
        connection.start(
          () => { throw new Error('data'); },
          () => { connection.close(); listener.close(); throw new Error('close'); },
        );
        throw new Error('connection');
      }, () => {});
      connect(path).end('x');
    `);
    expect(result).toMatchObject({
      code: 0,
      stdout: 'uncaught connection\nuncaught data\nuncaught close\n',
      stderr: '',
    });
  });

  it('dies of what a callback throws when nobody catches it', async () => {
    const result = await runNode(`
      import { connect } from 'node:net';
      const path = ${JSON.stringify(join(directory.path, 'die.sock'))};
      native.listenUnix(path, 0o600, () => { throw new Error('nobody catches this'); }, () => {});
      connect(path);
    `);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('nobody catches this');
  });

  it('runs promises and ticks after each callback', async () => {
    const result = await runNode(`
      import { connect } from 'node:net';
      import { AsyncLocalStorage } from 'node:async_hooks';
      const path = ${JSON.stringify(join(directory.path, 'ticks.sock'))};
      const storage = new AsyncLocalStorage();
      const order = [];
      storage.run('context', () => {
        const listener = native.listenUnix(path, 0o600, (connection) => {
          order.push('connection', storage.getStore());
          process.nextTick(() => order.push('tick'));
          Promise.resolve().then(() => { order.push('promise'); connection.close(); listener.close(); });
        }, () => {});
      });
      process.on('exit', () => console.log(order.join(' ')));
      connect(path).on('error', () => {});
    `);
    expect(result).toMatchObject({ code: 0, stdout: 'connection context tick promise\n' });
  });
});

describe('probeUserfaultfd', () => {
  it('finds a way on this host, and leaves nothing open', () => {
    const before = openFdsOf('userfaultfd').length;
    const probe = native.probeUserfaultfd();
    expect(probe.route).not.toBeNull();
    expect(probe.features & UFFD_FEATURE.missingShmem).toBe(UFFD_FEATURE.missingShmem);
    expect(openFdsOf('userfaultfd').length).toBe(before);
  });
});

describe('createUserfaultfd', () => {
  it('keeps the features that were asked for, and refuses those that do not exist', () => {
    const uffd = native.createUserfaultfd(UFFD_FEATURE.threadId);
    expect(uffd.features).toBe(UFFD_FEATURE.threadId);
    uffd.close();
    expect(() => native.createUserfaultfd(1n << 60n)).toThrow('the kernel lacks a feature');
  });

  it.skipIf(process.getuid?.() !== 0)('tells a user without the permission what would give it', async () => {
    const result = await runNode(
      `try { native.createUserfaultfd(0n); } catch (error) { console.log(error.message); }
       console.log(native.probeUserfaultfd().route);`,
      nobody,
    );
    expect(result.stdout).toBe(
      'userfaultfd failed: operation not permitted (EPERM); grant CAP_SYS_PTRACE, ' +
        'set vm.unprivileged_userfaultfd=1 or give access to /dev/userfaultfd\nuser-mode-only\n',
    );
  });
});
