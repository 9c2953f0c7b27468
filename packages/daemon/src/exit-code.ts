import { status } from '@grpc/grpc-js';
import { UmemError } from '@umem/errors';

/** Exit codes of the daemons; the same numbers as umemctl's. */
export const ExitCode = {
  ok: 0,
  usage: 2,
  precondition: 3,
  unavailable: 4,
  internal: 70,
} as const;

/** The exit code that tells why a daemon did not start. */
export function toExitCode(error: unknown): number {
  if (!(error instanceof UmemError)) return ExitCode.internal;
  if (error.code === status.INVALID_ARGUMENT) return ExitCode.usage;
  if (error.code === status.FAILED_PRECONDITION || error.code === status.ALREADY_EXISTS)
    return ExitCode.precondition;
  if (error.code === status.UNAVAILABLE) return ExitCode.unavailable;
  return ExitCode.internal;
}
