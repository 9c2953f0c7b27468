import { describe, expect, it } from 'vitest';
import { findCommand } from './find-command.js';

describe('findCommand', () => {
  it('takes an absolute path as it is', async () => {
    expect(await findCommand('/bin/sh')).toBe('/bin/sh');
    expect(await findCommand('/bin/no-such-vmm')).toBeNull();
  });

  it('looks a name up in PATH, in absolute directories only', async () => {
    expect(await findCommand('sh', '/nowhere:/bin:/usr/bin')).toBe('/bin/sh');
    expect(await findCommand('sh', '')).toBeNull();
    expect(await findCommand('sh', '.:bin')).toBeNull();
  });

  it('finds no directories, files without execute permission or relative paths', async () => {
    expect(await findCommand('/bin')).toBeNull();
    expect(await findCommand('/etc/passwd')).toBeNull();
    expect(await findCommand('bin/sh')).toBeNull();
  });
});
