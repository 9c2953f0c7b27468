import type { NativeUserfaultfd } from '@umem/native';
import { TARGET_PAGE_SIZE } from '@umem/ram';

/** Lowest address that userfaultfd ioctls take by default (vm.mmap_min_addr); no VMM maps RAM there. */
const NOWHERE = 65_536n;
const PAGE = new Uint8Array(TARGET_PAGE_SIZE);

/**
 * - `alive`: the VMM's address space exists.
 * - `changing`: it exists, and one of its threads waits until an event is read.
 * - `gone`: the VMM has exited.
 */
export type VmmCondition = 'alive' | 'changing' | 'gone';

/**
 * Asks the kernel about the process behind a userfaultfd by placing a page where no memory is
 * registered: ioctl_userfaultfd(2) answers EAGAIN while a change of mappings is under way, ESRCH when
 * the process has exited, and refuses the address otherwise.
 */
export function probeVmm(uffd: NativeUserfaultfd): VmmCondition {
  const { errno } = uffd.copy(NOWHERE, PAGE, 0, TARGET_PAGE_SIZE);
  if (errno === ERRNO.ESRCH) return 'gone';
  return errno === ERRNO.EAGAIN ? 'changing' : 'alive';
}

const ERRNO = { ESRCH: 3, EAGAIN: 11 } as const;
