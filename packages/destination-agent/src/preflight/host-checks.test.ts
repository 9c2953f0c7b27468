import { readFile, stat } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { ownUser } from '../ram/file-owner.js';
import { checkHugePages, checkPreloadLibrary, checkUserfaultfd } from './host-checks.js';

const nobody = { name: 'nobody', uid: 65534, gid: 65534 };
const isRoot = process.geteuid?.() === 0;

describe('the checks of the host', () => {
  it('find a userfaultfd and the preload library for a VMM of our own user', async () => {
    expect(await checkUserfaultfd(ownUser())).toMatchObject({ check: 'userfaultfd', passed: true, fix: '' });
    expect(await checkPreloadLibrary(ownUser())).toMatchObject({ check: 'preload-library', passed: true });
  });

  it.skipIf(!isRoot)('do not take our own rights for those of a VMM of another user', async () => {
    const isSwitchOn = (await readFile('/proc/sys/vm/unprivileged_userfaultfd', 'utf8')).trim() === '1';
    const device = await stat('/dev/userfaultfd').catch(() => null);
    const isDeviceOpen = device !== null && (device.mode & 0o6) === 0o6;
    const found = await checkUserfaultfd(nobody);
    expect(found.passed).toBe(isSwitchOn || isDeviceOpen);
    if (!found.passed)
      expect(found).toMatchObject({
        finding: expect.stringContaining('nobody'),
        fix: expect.stringContaining('sysctl'),
      });
  });

  it('only tell about huge pages, because pages are placed one by one', async () => {
    expect(await checkHugePages()).toMatchObject({
      passed: true,
      finding: expect.stringContaining('shmem_enabled is'),
    });
  });
});
