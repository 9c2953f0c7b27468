import { describe, expect, it } from 'vitest';
import { checkHost } from './host-checks.js';
import { findMountOptions, type HostFacts } from './host-facts.js';

const healthy: HostFacts = {
  kernelRelease: '6.1.0-28-amd64',
  capabilities: (1n << 41n) - 1n,
  unprivilegedUserfaultfd: '0',
  userfaultfdDevice: 'refused',
  userfaultfdObstacle: null,
  seccompMode: 0,
  shmemHugePages: 'never',
  hugePagePools: [{ pageSizeBytes: 2 ** 21, total: 0, free: 0, reserved: 0 }],
  hugetlbfsMounts: [],
  ramDirMountOptions: ['rw', 'nosuid'],
  ramDir: '/dev/shm',
  ramDirFreeBytes: 8 * 2 ** 30,
  qemuVersion: 'QEMU emulator version 7.2.22',
};

function results(changes: Partial<HostFacts>): Record<string, string> {
  const checks = checkHost({ ...healthy, ...changes });
  return Object.fromEntries(
    checks.filter(({ result }) => result !== 'pass').map((one) => [one.check, one.result]),
  );
}

describe('checks of a host', () => {
  it('pass on a host with everything, and then advise nothing', () => {
    const checks = checkHost(healthy);
    expect(checks.every(({ result, fix }) => result === 'pass' && fix === '')).toBe(true);
  });

  it.each<[string, Partial<HostFacts>, Record<string, string>]>([
    ['an old kernel', { kernelRelease: '5.4.0' }, { kernel: 'fail' }],
    ['the oldest kernel', { kernelRelease: '5.6.0' }, {}],
    ['an unprivileged user', { capabilities: 0n }, { userfaultfd: 'fail', capabilities: 'warn' }],
    [
      'an unprivileged user with the sysctl',
      { capabilities: 0n, unprivilegedUserfaultfd: '1' },
      { capabilities: 'warn' },
    ],
    [
      'an unprivileged user with the device',
      { capabilities: 0n, userfaultfdDevice: 'usable' },
      { capabilities: 'warn' },
    ],
    [
      'a kernel without userfaultfd',
      { unprivilegedUserfaultfd: null, userfaultfdDevice: 'absent' },
      { userfaultfd: 'fail' },
    ],
    [
      'a userfaultfd that a filter refuses although all gates are open',
      { userfaultfdObstacle: { finding: 'no userfaultfd can be made', fix: 'allow it' } },
      { userfaultfd: 'fail' },
    ],
    ['a container', { seccompMode: 2 }, { seccomp: 'warn' }],
    ['forced huge pages', { shmemHugePages: 'force' }, { 'shmem-huge-pages': 'warn' }],
    ['mounted huge pages', { ramDirMountOptions: ['huge=always'] }, { 'shmem-huge-pages': 'warn' }],
    [
      'mounted huge pages that the kernel denies',
      { ramDirMountOptions: ['huge=always'], shmemHugePages: 'deny' },
      {},
    ],
    ['shmem_enabled for another mount', { shmemHugePages: 'always' }, {}],
    ["a container's /dev/shm", { ramDirFreeBytes: 64 * 2 ** 20 }, { 'ram-space': 'warn' }],
    ['no /dev/shm', { ramDirFreeBytes: null }, { 'ram-space': 'fail' }],
    ['no QEMU', { qemuVersion: null }, { qemu: 'warn' }],
    ['a broken QEMU', { qemuVersion: '/usr/bin/qemu-kvm, which does not run: no library' }, { qemu: 'warn' }],
  ])('find %s', (_what, changes, expected) => {
    expect(results(changes)).toEqual(expected);
  });

  it('give a fix with everything that is not well', () => {
    const ill = checkHost({
      ...healthy,
      kernelRelease: '4.19',
      capabilities: 0n,
      seccompMode: 2,
      shmemHugePages: 'force',
      hugePagePools: [{ pageSizeBytes: 2 ** 21, total: 9, free: 9, reserved: 0 }],
      ramDirFreeBytes: 0,
      qemuVersion: null,
    });
    expect(ill.every(({ result, fix }) => result !== 'pass' && fix !== '')).toBe(true);
  });
});

describe('mount options', () => {
  const mounts =
    'root / ext4 rw,relatime 0 0\ntmpfs /dev tmpfs rw 0 0\ntmpfs /dev/shm tmpfs rw,huge=advise 0 0';

  it.each([
    ['/dev/shm/umem', ['rw', 'huge=advise']],
    ['/dev/shm', ['rw', 'huge=advise']],
    ['/dev/shmoo', ['rw']],
    ['/srv', ['rw', 'relatime']],
  ])('of %s are those of the innermost mount', (path, options) => {
    expect(findMountOptions(mounts, path)).toEqual(options);
  });
});
