import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostPrecondition } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { allows, findClosedDirectory, requireReach } from './reach.js';

const nobody = { name: 'nobody', uid: 65534, gid: 65534 };

describe('findClosedDirectory', () => {
  let base: string;
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'umem-reach-'));
    await chmod(base, 0o755);
    await mkdir(join(base, 'a/b'), { recursive: true });
    await chmod(join(base, 'a'), 0o700);
  });
  afterEach(() => rm(base, { recursive: true, force: true }));

  it('names the first directory that another user may not pass', async () => {
    expect(await findClosedDirectory(join(base, 'a/b/file'), nobody)).toBe(join(base, 'a'));
    await expect(requireReach(join(base, 'a/b/file'), nobody)).rejects.toThrow(HostPrecondition);
    await expect(requireReach(join(base, 'a/b/file'), nobody)).rejects.toThrow(/chmod a\+x/);
  });

  it('finds the way free once it is passable, even where it is not readable', async () => {
    await chmod(join(base, 'a'), 0o711);
    expect(await findClosedDirectory(join(base, 'a/b/file'), nobody)).toBeNull();
  });

  it('stops root nowhere', async () => {
    expect(await findClosedDirectory(join(base, 'a/b/file'), { name: 'root', uid: 0, gid: 0 })).toBeNull();
  });
});

describe('allows', () => {
  it('takes the rights of the first class that fits, as the kernel does', () => {
    expect(allows({ uid: 65534, gid: 0, mode: 0o007 }, nobody, 0o4)).toBe(false);
    expect(allows({ uid: 0, gid: 65534, mode: 0o060 }, nobody, 0o6)).toBe(true);
    expect(allows({ uid: 0, gid: 0, mode: 0o004 }, nobody, 0o4)).toBe(true);
  });
});
