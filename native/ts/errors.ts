import { getSystemErrorMap } from 'node:util';

/** What an operator does about a refusal whose errno alone does not tell. */
const ADVICE: Readonly<Record<string, string>> = {
  'userfaultfd EPERM':
    'grant CAP_SYS_PTRACE, set vm.unprivileged_userfaultfd=1 or give access to /dev/userfaultfd',
  'userfaultfd ENOSYS': 'allow userfaultfd(2) in the seccomp profile, or run a kernel that has it',
  'UFFDIO_API EINVAL': 'the kernel lacks a feature that was asked for',
  'pidfd_getfd EPERM': 'run as the user of that process or grant CAP_SYS_PTRACE',
};

/** A system call of the addon failed. Made by the C++ side through `setErrorClass`. */
export class NativeError extends Error {
  override readonly name = 'NativeError';
  readonly code = 'ERR_UMEM_NATIVE';
  /** For example "EEXIST". */
  readonly errnoName: string;

  constructor(
    /** The system call, or the ioctl command: "mmap", "UFFDIO_COPY". */
    readonly syscall: string,
    /** Positive, as in errno(3). */
    readonly errno: number,
    /** The numbers and names it was called with; may be empty. */
    detail: string,
  ) {
    const [errnoName, description] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error'];
    const subject = detail === '' ? syscall : `${syscall} of ${detail}`;
    const advice = ADVICE[`${syscall} ${errnoName}`];
    super(`${subject} failed: ${description} (${errnoName})${advice === undefined ? '' : `; ${advice}`}`);
    this.errnoName = errnoName;
  }
}
