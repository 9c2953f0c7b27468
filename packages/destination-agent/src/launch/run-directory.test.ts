import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AlreadyExists, HostPrecondition } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownUser } from '../ram/file-owner.js';
import { checkSocketPath, RunDirectory } from './run-directory.js';

const isRoot = process.geteuid?.() === 0;

describe('RunDirectory', () => {
  let stateDir: string;
  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'umem-run-'));
  });
  afterEach(() => rm(stateDir, { recursive: true, force: true }));

  it('is for the VMM alone, holds its log, and goes without a trace', async () => {
    const run = await RunDirectory.create(stateDir, 'vm1', ownUser());
    expect(run.qmpPath).toBe(join(stateDir, 'incoming/vm1/qmp.sock'));
    expect((await stat(run.path)).mode & 0o777).toBe(0o700);
    expect(await readdir(run.path)).toEqual(['vmm.log']);
    await run.remove();
    await run.remove();
    expect(await readdir(join(stateDir, 'incoming'))).toEqual([]);
  });

  it('takes over what an earlier VM of the name left', async () => {
    await mkdir(join(stateDir, 'incoming/vm1'), { recursive: true });
    await writeFile(join(stateDir, 'incoming/vm1/vmm.log'), 'old');
    const run = await RunDirectory.create(stateDir, 'vm1', ownUser());
    expect(await run.log.tail()).toBe('');
    await run.remove();
  });

  it('does not take over a symbolic link, nor what lies behind one', async () => {
    await mkdir(join(stateDir, 'incoming'));
    await mkdir(join(stateDir, 'other'));
    await writeFile(join(stateDir, 'other/vmm.log'), 'precious');
    await symlink(join(stateDir, 'other'), join(stateDir, 'incoming/vm1'));
    await expect(RunDirectory.create(stateDir, 'vm1', ownUser())).rejects.toThrow(AlreadyExists);
    expect(await readdir(join(stateDir, 'other'))).toEqual(['vmm.log']);
  });

  it.skipIf(!isRoot)('belongs to the user of the VMM, who can pass on the way to it', async () => {
    const run = await RunDirectory.create(stateDir, 'vm1', { name: 'nobody', uid: 65534, gid: 65534 });
    expect((await stat(run.path)).uid).toBe(65534);
    expect((await stat(stateDir)).mode & 0o777).toBe(0o711);
    await run.remove();
  });

  it('counts the bytes of the longest socket path before the kernel does', () => {
    expect(() => checkSocketPath('/run/umem', 'vm1')).not.toThrow();
    expect(() => checkSocketPath(`/run/${'x'.repeat(60)}`, 'y'.repeat(40))).toThrow(HostPrecondition);
    expect(() => checkSocketPath(`/run/${'x'.repeat(60)}`, 'y'.repeat(40))).toThrow(
      /has a path of 12\d bytes and the kernel allows 107/,
    );
  });
});
