import { readFile, stat } from 'node:fs/promises';
import { UFFD_FEATURE, type UserfaultfdProbe } from '@umem/native';
import { describe, expect, it } from 'vitest';
import { ownUser } from '../ram/file-owner.js';
import { checkKernel, checkPreloadLibrary, checkUserfaultfd } from './host-checks.js';

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
});

describe('on a host that cannot', () => {
  const all = (1n << 17n) - 1n;
  const sees = (found: Partial<UserfaultfdProbe>) =>
    checkUserfaultfd(ownUser(), () => ({
      ...{ route: null, syscallErrno: 0, deviceErrno: 0, features: all },
      ...found,
    }));

  it.each<[string, Partial<UserfaultfdProbe>, RegExp, RegExp]>([
    [
      'a kernel without userfaultfd',
      { syscallErrno: 38, deviceErrno: 2 },
      /userfaultfd\(2\) answers ENOSYS, \/dev\/userfaultfd ENOENT/,
      /CONFIG_USERFAULTFD/,
    ],
    [
      'a refusal',
      { syscallErrno: 1, deviceErrno: 13 },
      /userfaultfd\(2\) answers EPERM, \/dev\/userfaultfd EACCES/,
      /sysctl.*seccomp/,
    ],
    [
      'a userfaultfd that KVM is not seen by',
      { route: 'user-mode-only', syscallErrno: 1, deviceErrno: 13 },
      /not those of KVM: userfaultfd\(2\) answers EPERM/,
      /sysctl/,
    ],
    [
      'missing features',
      { route: 'syscall', features: all & ~UFFD_FEATURE.missingShmem & ~UFFD_FEATURE.threadId },
      /lacks threadId, missingShmem$/,
      /Boot Linux/,
    ],
  ])('say what is missing and how to get it: %s', async (_what, found, finding, fix) => {
    expect(await sees(found)).toMatchObject({
      passed: false,
      finding: expect.stringMatching(finding),
      fix: expect.stringMatching(fix),
    });
  });

  it('take a userfaultfd that cannot even be asked for a finding', async () => {
    const broken = await checkUserfaultfd(ownUser(), () => {
      throw new Error('UFFDIO_API failed');
    });
    expect(broken).toMatchObject({ passed: false, finding: expect.stringContaining('UFFDIO_API failed') });
  });

  it('name the kernel that is too old', () => {
    expect(checkKernel()).toMatchObject({ passed: true });
    const old = checkKernel(() => {
      throw new Error('pidfd_getfd failed: ENOSYS');
    });
    expect(old).toMatchObject({
      passed: false,
      finding: expect.stringMatching(/^Linux .*ENOSYS/),
      fix: expect.stringContaining('5.6'),
    });
  });
});
