import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { credentials } from '@grpc/grpc-js';
import { call, UmemdClient } from '@umem/api';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDir } from './testing/temporary-dir.js';

const PROGRAM = new URL('../dist/testing/example-daemon.js', import.meta.url).pathname;

/** The example daemon as a process of its own. */
function run(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({ code, signal, stdout, stderr }));
  /** The first log line with that event. */
  const logged = async (event: string): Promise<Record<string, unknown>> => {
    for await (const line of createInterface({ input: child.stderr })) {
      const fields = JSON.parse(line) as Record<string, unknown>;
      if (fields['event'] === event) return fields;
    }
    throw new Error(`The daemon ended without ${event}: ${stderr}`);
  };
  return { child, ended, logged };
}

const stateDir = async (): Promise<string> => join(await temporaryDir(), 's');

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s stops the daemon with exit code 0 and leaves no address',
  async (signal) => {
    const dir = await stateDir();
    const { child, ended, logged } = run(['--state-dir', dir]);
    const { address } = await logged('listening');
    expect(await readFile(join(dir, 'address'), 'utf8')).toBe(`${String(address)}\n`);
    child.kill(signal);
    expect(await ended).toMatchObject({ code: 0, signal: null, stdout: '' });
    await expect(access(join(dir, 'address'))).rejects.toThrow('ENOENT');
  },
);

test('a second signal ends a daemon that is still stopping at once', async () => {
  const { child, ended, logged } = run([
    '--state-dir',
    await stateDir(),
    '--stop-takes',
    '1h',
    '--shutdown-grace',
    '1h',
  ]);
  await logged('listening');
  child.kill('SIGTERM');
  await logged('stopping');
  child.kill('SIGINT');
  expect(await ended).toMatchObject({ code: 130 });
});

test('after SIGKILL it starts again on the same directory and the same socket', async () => {
  const dir = await stateDir();
  const args = ['--state-dir', dir, '--listen', `unix:${dir}/d.sock`];
  const first = run(args);
  await first.logged('listening');
  first.child.kill('SIGKILL');
  await first.ended;
  const second = run(args);
  expect(await second.logged('listening')).toMatchObject({ address: `unix:${dir}/d.sock` });
  const third = run(args);
  expect(await third.ended).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('is in use by another process'),
  });
});

test('wrong settings are exit code 2 with one line per problem and no stack', async () => {
  const { code, stderr } = await run(['--log-level', 'loud', '--max-bandwidth', 'x']).ended;
  expect(code).toBe(2);
  expect(stderr.split('\n')).toEqual([
    expect.stringMatching(/^umem-example: --state-dir is required/),
    expect.stringMatching(/^umem-example: --log-level "loud" is refused/),
    expect.stringMatching(/^umem-example: --max-bandwidth "x" is refused/),
    '',
  ]);
});

test('a network address without --insecure-network is exit code 2', async () => {
  const { code, stderr } = await run(['--state-dir', await stateDir(), '--listen', '0.0.0.0:0']).ended;
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /umem-example: --listen 0\.0\.0\.0:0 is reachable from the network .* --insecure-network/,
  );
  expect(stderr).not.toContain('    at ');
});

test('settings come from the environment and from a file', async () => {
  const dir = await temporaryDir();
  const file = join(dir, 'example.yaml');
  await writeFile(file, `listen: unix:${dir}/from-file.sock\nlogLevel: debug\n`);
  const { logged } = run([], { UMEM_CONFIG: file, UMEM_STATE_DIR: join(dir, 's') });
  expect(await logged('listening')).toMatchObject({ address: `unix:${dir}/from-file.sock` });
});

test.each([
  ['usage', 2, 'umem-example: --fail usage does not go with --vms\n'],
  ['precondition', 3, 'This host has no userfaultfd: load it'],
  ['bug', 70, 'undefined is not a function'],
])('a start that fails with %s is exit code %i', async (how, expected, text) => {
  const { code, stderr } = await run(['--state-dir', await stateDir(), '--fail', how]).ended;
  expect(code).toBe(expected);
  expect(stderr).toContain(text);
  expect(stderr.includes('    at ')).toBe(how === 'bug');
});

test('a failed start is told even when nothing is logged', async () => {
  const args = ['--state-dir', await stateDir(), '--log-level', 'silent', '--fail', 'precondition'];
  expect(await run(args).ended).toMatchObject({
    code: 3,
    stderr: 'umem-example: This host has no userfaultfd: load it\n',
  });
});

test.each([
  ['exception', 'throw', 'boom'],
  ['rejection', 'reject', 'unheard'],
])('an %s that nobody handles is logged and ends the daemon with exit code 70', async (_, name, message) => {
  const { ended, logged } = run(['--state-dir', await stateDir()]);
  const { address } = await logged('listening');
  const umemd = new UmemdClient(String(address), credentials.createInsecure());
  onTestFinished(() => umemd.close());
  await call(umemd, umemd.getUmem, { name }, { peer: 'example' }).catch(() => null);
  const { code, stderr } = await ended;
  expect(code).toBe(70);
  const last = JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
  expect(last).toMatchObject({
    event: 'crashed',
    level: 'fatal',
    error: { message, stack: expect.any(String) },
  });
});

test('--help and --version answer on stdout with exit code 0', async () => {
  expect(await run(['--help']).ended).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringContaining('Usage: umem-example'),
  });
  expect(await run(['--version']).ended).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^umem-example \d/),
  });
});
