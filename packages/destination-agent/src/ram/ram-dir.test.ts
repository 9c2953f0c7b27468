import { chmod, chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostPrecondition } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findRamDirProblem, prepareRamDir, spaceIn } from './ram-dir.js';

const isRoot = process.geteuid?.() === 0;

describe('the RAM directory', () => {
  let base: string;
  beforeEach(async () => {
    base = await mkdtemp('/dev/shm/umem-ram-dir-');
  });
  afterEach(() => rm(base, { recursive: true, force: true }));

  it('is made passable for VMMs and readable for none', async () => {
    const dir = join(base, 'umem');
    await prepareRamDir(dir);
    expect((await stat(dir)).mode & 0o777).toBe(0o711);
    await prepareRamDir(dir);
    expect(await findRamDirProblem(dir)).toBeNull();
  });

  it('is not taken from whoever can write in it, because files could be swapped', async () => {
    const dir = join(base, 'umem');
    await mkdir(dir);
    await chmod(dir, 0o777);
    await expect(prepareRamDir(dir)).rejects.toThrow(/mode 777.*others could swap files.*chmod 711/);
  });

  it.skipIf(!isRoot)('is not taken from another user who made it first', async () => {
    const dir = join(base, 'umem');
    await mkdir(dir, { mode: 0o700 });
    await chown(dir, 65534, 65534);
    await expect(prepareRamDir(dir)).rejects.toThrow(HostPrecondition);
  });

  it('is not a symbolic link', async () => {
    await mkdir(join(base, 'real'));
    await symlink(join(base, 'real'), join(base, 'link'));
    await expect(prepareRamDir(join(base, 'link'))).rejects.toThrow(/symbolic link/);
  });

  it('is not a file', async () => {
    await writeFile(join(base, 'file'), '');
    await expect(prepareRamDir(join(base, 'file'))).rejects.toThrow(HostPrecondition);
  });

  it('is on a tmpfs, where faults can be caught', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'umem-ram-dir-'));
    try {
      await expect(prepareRamDir(dir)).rejects.toThrow(/file system of type 0x.*tmpfs/);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('says what is missing when it is not there', async () => {
    expect(await findRamDirProblem(join(base, 'none'))).toMatchObject({
      fix: expect.stringContaining('mkdir'),
    });
  });

  it('knows its space', async () => {
    const { totalBytes, freeBytes } = await spaceIn(base);
    expect(totalBytes).toBeGreaterThan(0);
    expect(freeBytes).toBeLessThanOrEqual(totalBytes);
  });
});
