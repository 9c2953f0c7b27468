import { access, constants, readFile, stat } from 'node:fs/promises';
import type { PreflightCheck } from '@umem/api';
import { messageOf } from '@umem/errors';
import { native, preloadLibraryPath } from '@umem/native';
import { ownUser, type Owner } from '../ram/file-owner.js';
import { allows, findClosedDirectory } from '../ram/reach.js';
import { failed, passed } from './check.js';

const SWITCH = '/proc/sys/vm/unprivileged_userfaultfd';
const DEVICE = '/dev/userfaultfd';

/** Whether a VMM of this user can make a userfaultfd that sees all faults. userfaultfd(2). */
export async function checkUserfaultfd(owner: Owner): Promise<PreflightCheck> {
  const check = 'userfaultfd';
  const { route, syscallErrno, deviceErrno } = native.probeUserfaultfd();
  const fix = `Allow it: sysctl vm.unprivileged_userfaultfd=1, or give the VMM's user ${DEVICE}; in a container also the seccomp profile and the device`;
  if (route === null)
    return failed(
      check,
      `No userfaultfd here (system call errno ${syscallErrno}, device errno ${deviceErrno})`,
      fix,
    );
  if (route === 'user-mode-only')
    return failed(
      check,
      'A userfaultfd here does not see faults of the kernel, and so not those of KVM',
      fix,
    );
  if (owner.uid === ownUser().uid) return passed(check, `Can be made by ${route}`);
  // The probe speaks for this process; a VMM of another user has only what is open to everybody.
  if ((await readFile(SWITCH, 'utf8').catch(() => '0')).trim() === '1')
    return passed(check, `${SWITCH} is 1`);
  const device = await stat(DEVICE).catch(() => null);
  if (device && allows(device, owner, 0o6)) return passed(check, `${owner.name} may open ${DEVICE}`);
  return failed(check, `A VMM of ${owner.name} may not make a userfaultfd (${SWITCH} is 0)`, fix);
}

/** Whether the library is there that hands guest RAM over, where a VMM of this user can load it. */
export async function checkPreloadLibrary(owner: Owner): Promise<PreflightCheck> {
  const check = 'preload-library';
  const path = preloadLibraryPath();
  try {
    await access(path, constants.R_OK);
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

/** For people: pages are placed one by one, which is right with huge pages in tmpfs and without. */
export async function checkHugePages(): Promise<PreflightCheck> {
  const file = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';
  const text = await readFile(file, 'utf8').catch(() => '');
  const chosen = /\[(\w+)\]/.exec(text)?.[1] ?? 'not supported';
  return passed('transparent-huge-pages', `shmem_enabled is ${chosen}`);
}
