import { existsSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { native } from '../ts/index.js';
import { makeDirectory, runNode } from './kit/process.js';

const directory = makeDirectory();
afterAll(() => directory.remove());

describe('a Unix listener', () => {
  const listenAt = (path: string, mode = 0o600) =>
    native.listenUnix(
      path,
      mode,
      (connection) => connection.close(),
      () => undefined,
    );

  it('gives its socket exactly the mode that was asked for', () => {
    for (const mode of [0o600, 0o660, 0o666]) {
      const path = join(directory.path, `mode-${mode}.sock`);
      const each = listenAt(path, mode);
      expect(statSync(path).mode & 0o777).toBe(mode);
      each.close();
    }
  });

  it('replaces a socket file that nobody listens on', async () => {
    const path = join(directory.path, 'stale.sock');
    await runNode(
      `native.listenUnix(${JSON.stringify(path)}, 0o600, () => {}, () => {}); process.kill(process.pid, 'SIGKILL');`,
    );
    expect(existsSync(path)).toBe(true);
    listenAt(path).close();
    expect(existsSync(path)).toBe(false);
  });

  it('leaves alone a socket that somebody listens on, and a file that is no socket', async () => {
    const busy = join(directory.path, 'busy.sock');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(busy, resolve));
    expect(() => listenAt(busy)).toThrow(`bind of ${busy} failed: address already in use (EADDRINUSE)`);
    await new Promise((resolve) => server.close(resolve));

    const file = join(directory.path, 'file');
    writeFileSync(file, 'precious');
    expect(() => listenAt(file)).toThrow('EADDRINUSE');
    expect(readFileSync(file, 'utf8')).toBe('precious');
  });

  it('removes only its own socket file', () => {
    const path = join(directory.path, 'replaced.sock');
    const first = listenAt(path);
    unlinkSync(path);
    const second = listenAt(path);
    first.close();
    expect(existsSync(path)).toBe(true);
    second.close();
    expect(existsSync(path)).toBe(false);
  });

  it('says which path is too long or cannot be made', () => {
    expect(() => listenAt(join(directory.path, 'x'.repeat(108)))).toThrow('ENAMETOOLONG');
    expect(() => listenAt(join(directory.path, 'missing/x.sock'))).toThrow('ENOENT');
  });

  it('disconnects peers, and tells, when the process has no descriptors left', async () => {
    const path = join(directory.path, 'full.sock');
    const result = await runNode(`
      import { openSync } from 'node:fs';
      import { spawn } from 'node:child_process';
            const peer = spawn(process.execPath, ['-e', \`
        const visit = (then) => {
          const socket = require('node:net').connect(${JSON.stringify(path)}).resume();
          socket.on('error', () => {});
          socket.on('close', then);
        };
        process.stdin.once('data', () => visit(() => visit(() => process.exit(9))));
      \`], { stdio: ['pipe', 'inherit', 'inherit'] });
      const fds = [];
      const listener = native.listenUnix(${JSON.stringify(path)}, 0o600, () => console.log('accepted'), (error) => {
        console.log(error.syscall, error.errnoName);
      });
      peer.on('exit', (code) => {
        console.log('peer', code);
        listener.close();
      });
      try { for (;;) fds.push(openSync('/dev/null')); } catch {}
      peer.stdin.write('go');
    `);
    expect(result.stderr).toBe('');
    expect(result.stdout).toBe('accept4 EMFILE\naccept4 EMFILE\npeer 9\n');
  });
});
