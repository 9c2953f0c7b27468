import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AlreadyExists } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RamBlock } from '@umem/ram';
import { ownUser, type Owner } from './file-owner.js';
import { RamFiles } from './ram-files.js';

const MIB = 2 ** 20;
const isRoot = process.geteuid?.() === 0;

const create = (dir: string, vm: string, blocks: readonly RamBlock[], owner: Owner): Promise<RamFiles> =>
  RamFiles.create(
    vm,
    blocks.map((block) => ({ block, dir })),
    owner,
  );

describe('RamFiles', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp('/dev/shm/umem-ram-files-');
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const blocks = [
    { blockId: 'ram0', sizeBytes: 8 * MIB, hostPageSizeBytes: 4096 },
    { blockId: 'pc.ram', sizeBytes: 4096, hostPageSizeBytes: 4096 },
  ];

  it('makes one sparse file per block, of its exact size, for the owner alone', async () => {
    const ram = await create(dir, 'vm1', blocks, ownUser());
    expect(ram.files.map(({ path }) => path)).toEqual([join(dir, 'vm1/ram0'), join(dir, 'vm1/pc.ram')]);
    const stats = await stat(join(dir, 'vm1/ram0'));
    expect(stats.size).toBe(8 * MIB);
    expect(stats.blocks).toBe(0);
    expect(stats.mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, 'vm1'))).mode & 0o777).toBe(0o700);
    expect(ram.sizeBytes).toBe(8 * MIB + 4096);
    expect(await ram.unfilledBytes()).toBe(8 * MIB + 4096);
  });

  it('marks files as complete for processes that map them later, and does not mind one that is gone', async () => {
    const ram = await create(dir, 'vm1', blocks, ownUser());
    await rm(join(dir, 'vm1/ram0'));
    await ram.markComplete();
    expect((await stat(join(dir, 'vm1/pc.ram'))).mode & 0o7777).toBe(0o1600);
  });

  it('removes files and directory, and does not mind being asked twice', async () => {
    const ram = await create(dir, 'vm1', blocks, ownUser());
    await ram.remove();
    await ram.remove();
    expect(await readdir(dir)).toEqual([]);
    expect(await ram.unfilledBytes()).toBe(8 * MIB + 4096);
  });

  it('counts what was written as allocated', async () => {
    const ram = await create(dir, 'vm1', blocks, ownUser());
    await writeFile(join(dir, 'vm1/pc.ram'), Buffer.alloc(4096, 1));
    expect(await ram.unfilledBytes()).toBe(8 * MIB);
  });

  it('refuses a file that exists, says what to do, and leaves it and nothing else', async () => {
    await mkdir(join(dir, 'vm1'));
    await writeFile(join(dir, 'vm1/pc.ram'), 'precious');
    const made = create(dir, 'vm1', blocks, ownUser());
    await expect(made).rejects.toThrow(AlreadyExists);
    await expect(made).rejects.toThrow(/pc\.ram exists: a VMM of "vm1" may still use it.*rm /);
    expect(await readdir(join(dir, 'vm1'))).toEqual(['pc.ram']);
    expect(await readFile(join(dir, 'vm1/pc.ram'), 'utf8')).toBe('precious');
  });

  it('never follows a symbolic link in place of a file', async () => {
    const victim = join(dir, 'victim');
    await writeFile(victim, 'precious');
    await mkdir(join(dir, 'vm1'));
    await symlink(victim, join(dir, 'vm1/ram0'));
    await expect(create(dir, 'vm1', blocks, ownUser())).rejects.toThrow(AlreadyExists);
    expect(await readFile(victim, 'utf8')).toBe('precious');
    expect((await stat(victim)).size).toBe(8);
  });

  it('never follows a dangling symbolic link, which a plain open would create through', async () => {
    await mkdir(join(dir, 'vm1'));
    await symlink(join(dir, 'elsewhere'), join(dir, 'vm1/ram0'));
    await expect(create(dir, 'vm1', blocks, ownUser())).rejects.toThrow(AlreadyExists);
    expect((await readdir(dir)).sort()).toEqual(['vm1']);
  });

  it('never follows a symbolic link in place of the directory', async () => {
    await mkdir(join(dir, 'other'));
    await symlink(join(dir, 'other'), join(dir, 'vm1'));
    const made = create(dir, 'vm1', blocks, ownUser());
    await expect(made).rejects.toThrow(/not a directory of this agent \(a symbolic link\): remove it/);
    expect(await readdir(join(dir, 'other'))).toEqual([]);
  });

  it('leaves nothing behind when a block does not fit', async () => {
    const huge = { blockId: 'huge', sizeBytes: 2 ** 63, hostPageSizeBytes: 4096 };
    await expect(create(dir, 'vm1', [...blocks, huge], ownUser())).rejects.toThrow(/Cannot give RAM file/);
    expect(await readdir(dir)).toEqual([]);
  });

  it.skipIf(!isRoot)(
    'gives the files to another user, who can pass the directory but not look into it',
    async () => {
      const nobody = { name: 'nobody', uid: 65534, gid: 65534 };
      await create(dir, 'vm1', blocks, nobody);
      const file = await stat(join(dir, 'vm1/ram0'));
      expect([file.uid, file.gid, file.mode & 0o777]).toEqual([65534, 65534, 0o600]);
      const parent = await stat(join(dir, 'vm1'));
      expect([parent.uid, parent.mode & 0o777]).toEqual([0, 0o711]);
    },
  );
});
