import { formatBytes } from '@umem/ram';
import type { Check } from './check.js';
import type { HostFacts } from './host-facts.js';
import { checkHugePagePool } from './huge-page-check.js';

type Finding = Omit<Check, 'subject'>;

/** Its bit in capabilities(7). */
const CAP_SYS_PTRACE = 19n;
/** pidfd_getfd, with which a page server takes a userfaultfd back. */
const OLDEST_KERNEL = [5, 6] as const;
/** A container's usual /dev/shm of 64 MiB holds no guest. */
const SMALL_SHM_BYTES = 256 * 2 ** 20;

/** What a host needs to be the source or the destination of a migration, from facts alone. */
export function checkHost(facts: HostFacts): Check[] {
  const findings = [
    checkKernel(facts),
    checkUserfaultfd(facts),
    checkCapabilities(facts),
    checkSeccomp(facts),
    checkHugePages(facts),
    checkHugePagePool(facts.hugePagePools, facts.hugetlbfsMounts),
    checkRamDir(facts),
    checkQemu(facts),
  ];
  return findings.map((finding) => ({ subject: 'this host', ...finding }));
}

function pass(check: string, finding: string): Finding {
  return { check, result: 'pass', finding, fix: '' };
}

function checkKernel({ kernelRelease }: HostFacts): Finding {
  const [major = 0, minor = 0] = kernelRelease.split('.').map((part) => parseInt(part, 10));
  const [wantMajor, wantMinor] = OLDEST_KERNEL;
  const recent = major > wantMajor || (major === wantMajor && minor >= wantMinor);
  if (recent) return pass('kernel', `Linux ${kernelRelease}`);
  return {
    check: 'kernel',
    result: 'fail',
    finding: `Linux ${kernelRelease} is older than ${wantMajor}.${wantMinor}`,
    fix: `boot Linux ${wantMajor}.${wantMinor} or newer`,
  };
}

/** Any one of three gates lets a process serve faults that the kernel and KVM raise. */
function checkUserfaultfd(facts: HostFacts): Finding {
  const routes: string[] = [];
  if (hasCapability(facts, CAP_SYS_PTRACE)) routes.push('CAP_SYS_PTRACE');
  if (facts.unprivilegedUserfaultfd === '1') routes.push('vm.unprivileged_userfaultfd=1');
  if (facts.userfaultfdDevice === 'usable') routes.push('/dev/userfaultfd');
  if (facts.unprivilegedUserfaultfd === null && facts.userfaultfdDevice === 'absent')
    return {
      check: 'userfaultfd',
      result: 'fail',
      finding: 'the kernel was built without userfaultfd (no sysctl, no /dev/userfaultfd)',
      fix: 'boot a kernel with CONFIG_USERFAULTFD=y',
    };
  // What was tried says more than gates: a filter may refuse it behind them.
  if (routes.length > 0 && facts.userfaultfdObstacle !== null)
    return { check: 'userfaultfd', result: 'fail', ...facts.userfaultfdObstacle };
  if (routes.length > 0) return pass('userfaultfd', `allowed by ${routes.join(', ')}`);
  return {
    check: 'userfaultfd',
    result: 'fail',
    finding: `no CAP_SYS_PTRACE, vm.unprivileged_userfaultfd=${facts.unprivilegedUserfaultfd ?? 'absent'}, /dev/userfaultfd ${facts.userfaultfdDevice}`,
    fix: 'run as root, give the VMM CAP_SYS_PTRACE or access to /dev/userfaultfd, or: sysctl vm.unprivileged_userfaultfd=1',
  };
}

function checkCapabilities(facts: HostFacts): Finding {
  if (hasCapability(facts, CAP_SYS_PTRACE))
    return pass('capabilities', 'CAP_SYS_PTRACE: memfds and descriptors of VMMs can be opened');
  return {
    check: 'capabilities',
    result: 'warn',
    finding: "no CAP_SYS_PTRACE: memfds and descriptors of other users' VMMs cannot be opened",
    fix: "run the agents as root or as the VMMs' own user, or give them CAP_SYS_PTRACE",
  };
}

function checkSeccomp({ seccompMode }: HostFacts): Finding {
  if (seccompMode === 0) return pass('seccomp', 'no filter');
  return {
    check: 'seccomp',
    result: 'warn',
    finding: 'a seccomp filter is active here, as in a container; it may refuse userfaultfd(2)',
    fix: 'use a seccomp profile that allows userfaultfd, for the VMM as well',
  };
}

/** Pages are placed one by one; a huge page would be mapped with its neighbours unfilled. */
function checkHugePages({ shmemHugePages, ramDirMountOptions, ramDir }: HostFacts): Finding {
  const mounted = ramDirMountOptions.find((option) => option.startsWith('huge='))?.slice('huge='.length);
  const forced = shmemHugePages === 'force';
  const wanted = shmemHugePages !== 'deny' && mounted !== undefined && mounted !== 'never';
  const found = `shmem_enabled is ${shmemHugePages ?? 'absent'}, ${ramDir} is mounted with huge=${mounted ?? 'never'}`;
  if (!forced && !wanted) return pass('shmem-huge-pages', found);
  return {
    check: 'shmem-huge-pages',
    result: 'warn',
    finding: `${found}: RAM files can get huge pages while they are filled`,
    fix: forced
      ? 'echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled'
      : `mount -o remount,huge=never ${ramDir}`,
  };
}

function checkRamDir({ ramDir, ramDirFreeBytes }: HostFacts): Finding {
  const check = 'ram-space';
  if (ramDirFreeBytes === null)
    return { check, result: 'fail', finding: `${ramDir} does not exist`, fix: `mount a tmpfs on ${ramDir}` };
  const finding = `${formatBytes(ramDirFreeBytes)} free in ${ramDir}`;
  if (ramDirFreeBytes >= SMALL_SHM_BYTES) return pass(check, finding);
  return {
    check,
    result: 'warn',
    finding: `only ${finding}, and incoming guests need room for all their RAM`,
    fix: `mount -o remount,size=SIZE ${ramDir} (containers: --shm-size)`,
  };
}

function checkQemu({ qemuVersion }: HostFacts): Finding {
  if (qemuVersion !== null && !qemuVersion.includes('does not run')) return pass('qemu', qemuVersion);
  return {
    check: 'qemu',
    result: 'warn',
    finding: qemuVersion ?? 'no qemu-system binary in PATH',
    fix: 'install QEMU (Debian: qemu-system-x86), unless VMMs live elsewhere',
  };
}

function hasCapability({ capabilities }: HostFacts, bit: bigint): boolean {
  return (capabilities & (1n << bit)) !== 0n;
}
