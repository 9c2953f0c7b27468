import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostPrecondition } from '@umem/errors';
import { expect, test } from 'vitest';
import { temporaryDir } from '../testing/temporary-dir.js';
import { prepareStateDir } from './state-dir.js';

test('the directory and its parents are made, and only the owner may look inside', async () => {
  const path = join(await temporaryDir(), 'a', 'b');
  await prepareStateDir(path);
  expect((await stat(path)).mode & 0o777).toBe(0o700);
  await prepareStateDir(path);
});

test('a directory in which others can write is refused with the command that fixes it', async () => {
  const path = join(await temporaryDir(), 'open');
  await mkdir(path);
  await chmod(path, 0o1777);
  await expect(prepareStateDir(path)).rejects.toThrow(
    `has mode 1777, so others can write in it: chmod 700 ${path}`,
  );
});

test.runIf(process.geteuid?.() === 0)('a directory of another user is refused', async () => {
  const path = await temporaryDir();
  await chown(path, 65534, 65534);
  await expect(prepareStateDir(path)).rejects.toThrow(/belongs to user 65534, not to 0/);
});

test('a file in its place is refused', async () => {
  const path = join(await temporaryDir(), 'file');
  await writeFile(path, '');
  await expect(prepareStateDir(path)).rejects.toThrow(HostPrecondition);
});

test('a path so long that sockets in it would be refused is refused at once', async () => {
  await expect(prepareStateDir(`/${'x'.repeat(90)}`)).rejects.toThrow(
    /path of 91 bytes: use one of at most 80/,
  );
});
