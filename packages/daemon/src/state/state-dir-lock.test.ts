import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { HostPrecondition } from '@umem/errors';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDir } from '../testing/temporary-dir.js';
import { lockStateDir } from './state-dir-lock.js';

const HOLDER = new URL('../../dist/testing/hold-state-dir.js', import.meta.url).pathname;

/** Another process that holds the directory when this resolves. */
async function holder(dir: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [HOLDER, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('a second process is refused while the first one lives, even when it is stopped', async () => {
  const dir = await temporaryDir();
  const first = await holder(dir);
  await expect(lockStateDir(dir)).rejects.toThrow(HostPrecondition);
  first.kill('SIGSTOP');
  await expect(lockStateDir(dir)).rejects.toThrow('is in use by another process');
});

test('after SIGKILL the next process takes over, again and again', async () => {
  const dir = await temporaryDir();
  await kill(await holder(dir));
  await kill(await holder(dir));
  const lock = await lockStateDir(dir);
  expect((await readdir(dir)).filter((file) => file.startsWith('lock'))).toEqual(['lock.3']);
  await lock.release();
  await (await lockStateDir(dir)).release();
});

test('of many that start at the same moment exactly one gets the directory', async () => {
  const dir = await temporaryDir();
  for (let round = 0; round < 20; round++) {
    const attempts = await Promise.allSettled(Array.from({ length: 12 }, () => lockStateDir(dir)));
    const won = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
    expect(won).toHaveLength(1);
    await won[0]?.release();
  }
  expect((await readdir(dir)).length).toBe(1);
});

test('the same process cannot have it twice', async () => {
  const dir = await temporaryDir();
  const lock = await lockStateDir(dir);
  await expect(lockStateDir(dir)).rejects.toThrow('give each daemon its own --state-dir');
  await lock.release();
});
