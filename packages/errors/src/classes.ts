import { status } from '@grpc/grpc-js';
import { UmemError, type ErrorOptions } from './umem-error.js';

/** A malformed message or a bad value. The caller fixes the call. */
export class InvalidArgument extends UmemError {
  readonly code = status.INVALID_ARGUMENT;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'INVALID_ARGUMENT', options);
  }
}

/** A pgoff past the end of its block. A bug in the peer. */
export class PgoffOutOfRange extends UmemError {
  readonly code = status.OUT_OF_RANGE;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'PGOFF_OUT_OF_RANGE', options);
  }
}

/** An unknown id. The caller checks it. */
export class NotFound extends UmemError {
  readonly code = status.NOT_FOUND;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'NOT_FOUND', options);
  }
}

/** An id that is taken. The caller checks it. */
export class AlreadyExists extends UmemError {
  readonly code = status.ALREADY_EXISTS;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'ALREADY_EXISTS', options);
  }
}

/** No credentials. The caller fixes them. */
export class Unauthenticated extends UmemError {
  readonly code = status.UNAUTHENTICATED;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'UNAUTHENTICATED', options);
  }
}

/** Credentials that do not allow the call. The caller fixes them. */
export class PermissionDenied extends UmemError {
  readonly code = status.PERMISSION_DENIED;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'PERMISSION_DENIED', options);
  }
}

/** The host, the VM or its configuration does not allow the call. An operator changes that. */
export class HostPrecondition extends UmemError {
  readonly code = status.FAILED_PRECONDITION;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'HOST_PRECONDITION', options);
  }
}

/** A lane older than the last recovery. The caller redoes the handshake. */
export class StaleSession extends UmemError {
  readonly code = status.ABORTED;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'STALE_SESSION', options);
  }
}

/** A peer that refused, reset or drains. The caller backs off and tries again. */
export class PeerUnavailable extends UmemError {
  readonly code = status.UNAVAILABLE;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'PEER_UNAVAILABLE', options);
  }
}

/** A limit is reached. The caller slows down. */
export class Overloaded extends UmemError {
  readonly code = status.RESOURCE_EXHAUSTED;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'OVERLOADED', options);
  }
}

/** Somebody asked for the end. Nothing to do. */
export class Cancelled extends UmemError {
  readonly code = status.CANCELLED;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'CANCELLED', options);
  }
}

/** It took longer than the caller allows. The caller decides whether to wait longer. */
export class DeadlineExceeded extends UmemError {
  readonly code = status.DEADLINE_EXCEEDED;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'DEADLINE_EXCEEDED', options);
  }
}

/** A broken invariant. The caller reports it. */
export class Internal extends UmemError {
  readonly code = status.INTERNAL;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'INTERNAL', options);
  }
}

/** Something this version does not do. The caller does without. */
export class Unimplemented extends UmemError {
  readonly code = status.UNIMPLEMENTED;
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'UNIMPLEMENTED', options);
  }
}

/** A call that does not fit the state. The caller does not retry. */
export class WrongState extends UmemError {
  readonly code = status.FAILED_PRECONDITION;
  constructor(
    /** What has the state, for example "migration mig-7f3a". */
    readonly subject: string,
    readonly current: string,
    /** States in which the call is legal. */
    readonly allowed: readonly string[],
    /** What was asked for, as a clause: "it cannot be cancelled any more". */
    clause: string,
    options: ErrorOptions = {},
  ) {
    super(`${capitalize(subject)} is ${current}: ${clause}`, 'WRONG_STATE', {
      ...options,
      metadata: { subject, current, allowed: allowed.join(','), ...options.metadata },
    });
  }
}

/** Pages that cannot be had any more. The caller stops the guest and tells a person. */
export class PageLoss extends UmemError {
  readonly code = status.DATA_LOSS;
  constructor(
    message: string,
    readonly blockId: string,
    /** First lost page, in target pages. */
    readonly pgoff: number,
    /** Lost pages in all blocks together. */
    readonly missingPages: number,
    options: ErrorOptions = {},
  ) {
    super(message, 'PAGE_LOSS', {
      ...options,
      metadata: { blockId, pgoff: String(pgoff), missingPages: String(missingPages), ...options.metadata },
    });
  }
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
