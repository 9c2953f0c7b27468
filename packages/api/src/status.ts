import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import * as errors from '@umem/errors';
import { messageOf, PageLoss, UmemError, WrongState } from '@umem/errors';
import { PageLossDetail, WrongStateDetail } from './gen/umem/v1/error_details.js';
import { ErrorInfo } from './gen/google/rpc/error_details.js';
import { Status } from './gen/google/rpc/status.js';

/** google.rpc.ErrorInfo.domain of all our errors. */
const DOMAIN = 'umem';
const DETAILS_KEY = 'grpc-status-details-bin';
const TYPE_PREFIX = 'type.googleapis.com/';
/** Keeps trailers within what HTTP/2 peers take by default. */
const MAX_DETAILS_BYTES = 4096;

const CLASS_OF_CODE = {
  [status.CANCELLED]: errors.Cancelled,
  [status.INVALID_ARGUMENT]: errors.InvalidArgument,
  [status.DEADLINE_EXCEEDED]: errors.DeadlineExceeded,
  [status.NOT_FOUND]: errors.NotFound,
  [status.ALREADY_EXISTS]: errors.AlreadyExists,
  [status.PERMISSION_DENIED]: errors.PermissionDenied,
  [status.RESOURCE_EXHAUSTED]: errors.Overloaded,
  [status.FAILED_PRECONDITION]: errors.HostPrecondition,
  [status.ABORTED]: errors.StaleSession,
  [status.OUT_OF_RANGE]: errors.PgoffOutOfRange,
  [status.UNIMPLEMENTED]: errors.Unimplemented,
  [status.UNAVAILABLE]: errors.PeerUnavailable,
  [status.UNAUTHENTICATED]: errors.Unauthenticated,
} as const;

/** What a handler answers with when `error` was thrown: code, message and google.rpc.Status details. */
export function toServiceError(error: unknown): Partial<ServiceError> {
  const known = error instanceof UmemError;
  const code = known ? error.code : status.INTERNAL;
  const details = messageOf(error);
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, encodeDetails(code, details, error));
  return { code, details, metadata };
}

/**
 * The error that a failed call means to us. `peer` names who was called, for the message. Errors
 * that are not a gRPC status pass unchanged.
 */
export function fromServiceError(error: Error, peer: string): Error;
export function fromServiceError(error: unknown, peer: string): unknown;
export function fromServiceError(error: unknown, peer: string): unknown {
  if (!isServiceError(error)) return error;
  const detail = decodeDetails(error);
  const metadata = { peer, ...detail?.info?.metadata };
  const reason = detail?.info ? { reason: detail.info.reason } : {};
  const options = { metadata, ...reason };
  if (detail?.wrongState) {
    const { subject, current, allowed } = detail.wrongState;
    return new RemoteWrongState(subject, current, allowed, error.details, options);
  }
  if (error.code === status.DATA_LOSS) {
    const loss = detail?.pageLoss;
    return new PageLoss(
      error.details,
      loss?.blockId ?? '',
      loss?.pgoff ?? 0,
      Number(loss?.missingPages ?? 0n),
      options,
    );
  }
  if (error.code === status.UNAVAILABLE && !detail?.info)
    return new errors.PeerUnavailable(
      `Cannot reach ${peer}: ${toReason(error.details)}. Check that it runs and that the address is right`,
      options,
    );
  const Class = CLASS_OF_CODE[error.code as keyof typeof CLASS_OF_CODE];
  return Class
    ? new Class(error.details, options)
    : new errors.Internal(`${peer} failed: ${error.details}`, { ...options, cause: error });
}

/**
 * Why a connection failed, out of grpc-js's words for it: "No connection established. Last error:
 * Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ".
 */
function toReason(details: string): string {
  const inner = /Last error: (?:Error: )?(.*?)\.? ?Resolution note/.exec(details)?.[1];
  return inner ?? details.replace(/\.$/, '');
}

/** True for what grpc-js reports when a call fails. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}

/** A WrongState whose whole sentence comes from the peer. */
class RemoteWrongState extends WrongState {
  constructor(
    subject: string,
    current: string,
    allowed: readonly string[],
    override readonly message: string,
    options: errors.ErrorOptions,
  ) {
    super(subject, current, allowed, '', options);
    this.name = 'WrongState';
  }
}

function encodeDetails(code: status, message: string, error: unknown): Buffer {
  const known = error instanceof UmemError;
  const info = ErrorInfo.encode({
    reason: known ? error.reason : 'INTERNAL',
    domain: DOMAIN,
    metadata: known ? { ...error.metadata } : {},
  }).finish();
  const details = [{ typeUrl: `${TYPE_PREFIX}google.rpc.ErrorInfo`, value: Buffer.from(info) }];
  if (error instanceof WrongState) {
    const { subject, current, allowed } = error;
    const value = WrongStateDetail.encode({ subject, current, allowed: [...allowed] }).finish();
    details.push({ typeUrl: `${TYPE_PREFIX}umem.v1.WrongStateDetail`, value: Buffer.from(value) });
  }
  if (error instanceof PageLoss) {
    const { blockId, pgoff, missingPages } = error;
    const value = PageLossDetail.encode({ blockId, pgoff, missingPages: BigInt(missingPages) }).finish();
    details.push({ typeUrl: `${TYPE_PREFIX}umem.v1.PageLossDetail`, value: Buffer.from(value) });
  }
  const whole = Buffer.from(Status.encode({ code, message, details }).finish());
  if (whole.length <= MAX_DETAILS_BYTES) return whole;
  return Buffer.from(Status.encode({ code, message: message.slice(0, 512), details: [] }).finish());
}

interface Details {
  info?: ErrorInfo;
  wrongState?: WrongStateDetail;
  pageLoss?: PageLossDetail;
}

function decodeDetails(error: ServiceError): Details | null {
  const raw = error.metadata.get(DETAILS_KEY)[0];
  if (!(raw instanceof Buffer)) return null;
  try {
    const found: Details = {};
    for (const { typeUrl, value } of Status.decode(raw).details) {
      if (typeUrl.endsWith('/google.rpc.ErrorInfo')) found.info = ErrorInfo.decode(value);
      if (typeUrl.endsWith('/umem.v1.WrongStateDetail')) found.wrongState = WrongStateDetail.decode(value);
      if (typeUrl.endsWith('/umem.v1.PageLossDetail')) found.pageLoss = PageLossDetail.decode(value);
    }
    return found;
  } catch {
    // Details are a courtesy of the peer: code and message still stand when they are garbled.
    return null;
  }
}
