import type { status } from '@grpc/grpc-js';

/** Facts of an error for programs: every number and name that its message mentions. */
export type ErrorMetadata = Readonly<Record<string, string>>;

export interface ErrorOptions {
  cause?: unknown;
  metadata?: ErrorMetadata;
  /** Overrides the class's own reason, in UPPER_SNAKE_CASE. */
  reason?: string;
}

/**
 * Base of all errors that cross a service's border. The class is an instruction to the caller; the
 * message says what failed, with the numbers, and what to do.
 */
export abstract class UmemError extends Error {
  /** The gRPC status code the class travels as. */
  abstract readonly code: status;
  /** Stable reason for programs: google.rpc.ErrorInfo.reason. */
  readonly reason: string;
  readonly metadata: ErrorMetadata;

  constructor(message: string, defaultReason: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.reason = options.reason ?? defaultReason;
    this.metadata = options.metadata ?? {};
  }
}
