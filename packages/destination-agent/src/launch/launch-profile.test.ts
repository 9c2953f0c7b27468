import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostPrecondition, InvalidArgument, NotFound } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadProfile } from './launch-profile.js';

describe('loadProfile', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'umem-profile-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const write = (text: string): Promise<void> => writeFile(join(dir, 'vm1.yaml'), text);

  it('reads command, arguments, environment and user; numbers are text', async () => {
    await write('command: qemu-system-x86_64\nargs: [-m, 512, "${name}"]\nenv: {LANG: C}\nuser: nobody\n');
    expect(await loadProfile(dir, 'vm1')).toEqual({
      name: 'vm1',
      command: 'qemu-system-x86_64',
      args: ['-m', '512', '${name}'],
      env: { LANG: 'C' },
      user: 'nobody',
    });
  });

  it.each(['../vm1', 'a/b', '', '.vm1', '/etc/passwd', 'x'.repeat(64)])(
    'refuses %j, which is no name',
    async (name) => {
      await expect(loadProfile(dir, name)).rejects.toThrow(InvalidArgument);
    },
  );

  it('says where a profile that is missing belongs', async () => {
    await expect(loadProfile(dir, 'none')).rejects.toThrow(NotFound);
    await expect(loadProfile(dir, 'none')).rejects.toThrow(`make ${dir}/none.yaml`);
    await expect(loadProfile(undefined, 'vm1')).rejects.toThrow(/--vm-profiles/);
  });

  it.each([
    ['comand: x', /comand/],
    ['command: ""', /command/],
    ['command: x\nargs: {a: b}', /args/],
    ['command: x\nenv: {"A=B": c}', /env/],
    ['command: [', /not valid/],
    ['', /not valid/],
    ['- a', /not valid/],
  ])('names the place of what is wrong in %j', async (text, message) => {
    await write(text);
    await expect(loadProfile(dir, 'vm1')).rejects.toThrow(HostPrecondition);
    await expect(loadProfile(dir, 'vm1')).rejects.toThrow(message);
  });

  it('follows no symbolic link out of the directory', async () => {
    await symlink('/etc/passwd', join(dir, 'vm1.yaml'));
    await expect(loadProfile(dir, 'vm1')).rejects.toThrow(HostPrecondition);
  });

  it('reads no file of unreasonable size', async () => {
    await write(`command: ${'x'.repeat(70_000)}`);
    await expect(loadProfile(dir, 'vm1')).rejects.toThrow(/at most 65536 bytes/);
  });
});
