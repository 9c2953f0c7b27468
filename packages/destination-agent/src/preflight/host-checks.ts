import { access, constants as modes, readFile, stat } from 'node:fs/promises';
import { constants, release } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { PreflightCheck } from '@umem/api';
import { messageOf } from '@umem/errors';
import { native, preloadLibraryPath, UFFD_FEATURE, type UserfaultfdProbe } from '@umem/native';
import { ownUser, type Owner } from '../ram/file-owner.js';
import { allows, findClosedDirectory } from '../ram/reach.js';
import { failed, passed } from './check.js';

const SWITCH = '/proc/sys/vm/unprivileged_userfaultfd';
const DEVICE = '/dev/userfaultfd';

/** What a page server and the preload library ask of a userfaultfd. */
const FEATURES = ['threadId', 'eventRemove', 'missingShmem', 'missingHugetlbfs'] as const;

/** pidfd_getfd(2), with which a page server takes a userfaultfd back from its VMM. */
const OLDEST_KERNEL = '5.6';

/** Whether the kernel has the system calls that are needed beside userfaultfd(2). */
export function checkKernel(probe = probePidfd): PreflightCheck {
  const check = 'kernel';
  try {
    probe();
  } catch (error) {
    return failed(
      check,
      `Linux ${release()}: ${messageOf(error)}`,
      `Boot Linux ${OLDEST_KERNEL} or newer; in a container its seccomp profile must allow pidfd_open(2) and pidfd_getfd(2)`,
    );
  }
  return passed(check, `Linux ${release()}`);
}

/** Throws NativeError. */
function probePidfd(): void {
  const pidfd = native.pidfdOpen(process.pid);
  try {
    native.closeFd(native.pidfdGetfd(pidfd, pidfd));
  } finally {
    native.closeFd(pidfd);
  }
}

/** Whether a VMM of this user can make a userfaultfd that sees all faults. userfaultfd(2). */
export async function checkUserfaultfd(
  owner: Owner,
  probe: () => UserfaultfdProbe = () => native.probeUserfaultfd(),
): Promise<PreflightCheck> {
  const check = 'userfaultfd';
  let found;
  try {
    found = probe();
  } catch (error) {
    return failed(
      check,
      `The userfaultfd of this host does not work (${messageOf(error)})`,
      `Boot Linux ${OLDEST_KERNEL} or newer; in a container its seccomp profile must allow ioctl(2) on a userfaultfd`,
    );
  }
  const { route, features } = found;
  const allow = `Allow it: sysctl vm.unprivileged_userfaultfd=1, or give the VMM's user ${DEVICE}; in a container also the seccomp profile and the device`;
  if (route === null) return failed(check, describeRefusal(found), isAbsent(found) ? REBUILD : allow);
  if (route === 'user-mode-only')
    return failed(
      check,
      `A userfaultfd here does not see faults of the kernel, and so not those of KVM: ${describeRefusal(found)}`,
      allow,
    );
  const lacking = FEATURES.filter((name) => (features & UFFD_FEATURE[name]) === 0n);
  if (lacking.length > 0)
    return failed(
      check,
      `The userfaultfd of Linux ${release()} lacks ${lacking.join(', ')}`,
      `Boot Linux ${OLDEST_KERNEL} or newer`,
    );
  if (owner.uid === ownUser().uid) return passed(check, `Can be made by ${route}`);
  // The probe speaks for this process; a VMM of another user has only what is open to everybody.
  if ((await readFile(SWITCH, 'utf8').catch(() => '0')).trim() === '1')
    return passed(check, `${SWITCH} is 1`);
  const device = await stat(DEVICE).catch(() => null);
  if (device && allows(device, owner, 0o6)) return passed(check, `${owner.name} may open ${DEVICE}`);
  return failed(check, `A VMM of ${owner.name} may not make a userfaultfd (${SWITCH} is 0)`, allow);
}

const REBUILD =
  'Boot a kernel with CONFIG_USERFAULTFD=y; in a container its seccomp profile must allow userfaultfd(2)';

function isAbsent({ syscallErrno }: UserfaultfdProbe): boolean {
  return syscallErrno === constants.errno.ENOSYS;
}

function describeRefusal({ syscallErrno, deviceErrno }: UserfaultfdProbe): string {
  const [call, device] = [syscallErrno, deviceErrno].map((errno) => getSystemErrorName(-errno));
  return `userfaultfd(2) answers ${call}, ${DEVICE} ${device}`;
}

/** Whether the library is there that hands guest RAM over, where a VMM of this user can load it. */
export async function checkPreloadLibrary(owner: Owner): Promise<PreflightCheck> {
  const check = 'preload-library';
  const path = preloadLibraryPath();
  try {
    await access(path, modes.R_OK);
    const closed = await findClosedDirectory(path, owner);
    if (closed !== null)
      return failed(
        check,
        `${owner.name} cannot reach ${path}: ${closed} is closed to it`,
        `Open it: chmod a+x ${closed}`,
      );
  } catch (error) {
    return failed(
      check,
      `${path} cannot be read (${messageOf(error)})`,
      'Build @umem/native: nx build @umem/native',
    );
  }
  return passed(check, path);
}
