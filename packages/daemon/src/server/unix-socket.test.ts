import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDir } from '../testing/temporary-dir.js';
import { canConnect, removeStaleSocket } from './unix-socket.js';

/** A socket file whose process was killed. */
async function staleSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  await access(path);
}

test('a path where nothing is stays free', async () => {
  const path = join(await temporaryDir(), 'a.sock');
  await removeStaleSocket(path);
  expect(await canConnect(path)).toBe(false);
});

test('a socket that a killed process left is removed', async () => {
  const path = join(await temporaryDir(), 'a.sock');
  await staleSocket(path);
  expect(await canConnect(path)).toBe(false);
  await removeStaleSocket(path);
  await expect(access(path)).rejects.toThrow('ENOENT');
});

test('a socket on which somebody listens is left alone', async () => {
  const path = join(await temporaryDir(), 'a.sock');
  const server = createServer((socket) => socket.destroy()).listen(path);
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  await expect(removeStaleSocket(path)).rejects.toThrow('another process does');
  await access(path);
});

test.each([
  ['file', (path: string) => writeFile(path, 'precious')],
  ['directory', (path: string) => mkdir(path)],
  ['symbolic link', (path: string) => symlink('/etc/passwd', path)],
])('a %s is never removed', async (_, make) => {
  const path = join(await temporaryDir(), 'a.sock');
  await make(path);
  await expect(removeStaleSocket(path)).rejects.toThrow('not a socket');
  await access(path);
});
