import { status } from '@grpc/grpc-js';
import { isServiceError } from '@umem/api';
import { messageOf, UmemError } from '@umem/errors';

/** Why a lane ended; plain data, can be posted between threads. */
export interface LaneLoss {
  /** Which lane: "demand lane", "background lane 0". */
  readonly lane: string;
  readonly code: status;
  readonly message: string;
  /** `batch`: we ended it, because the source sent something that makes no sense. */
  readonly cause: 'status' | 'batch';
}

/**
 * Statuses with which the source says that it does not serve this migration. One of them may be a
 * moment's mistake (an agent that has just started); many in a row are the truth. Everything else
 * is the link, which comes back.
 */
const REFUSALS: ReadonlySet<status> = new Set([
  status.CANCELLED,
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.FAILED_PRECONDITION,
  status.OUT_OF_RANGE,
  status.UNIMPLEMENTED,
  status.DATA_LOSS,
]);

export function isRefusal(loss: LaneLoss): boolean {
  return loss.cause === 'status' && REFUSALS.has(loss.code);
}

/** The loss that an error of a lane's stream, or the end of the stream (null), means. */
export function toLoss(lane: string, error: unknown): LaneLoss {
  if (error === null)
    return { lane, code: status.UNAVAILABLE, message: 'the source closed it', cause: 'status' };
  if (isServiceError(error)) return { lane, code: error.code, message: error.details, cause: 'status' };
  const code = error instanceof UmemError ? error.code : status.UNKNOWN;
  return { lane, code, message: messageOf(error), cause: 'status' };
}

/** The loss of a lane that we end because of what came over it. */
export function toBadBatch(lane: string, error: unknown): LaneLoss {
  return { lane, code: status.INVALID_ARGUMENT, message: messageOf(error), cause: 'batch' };
}
