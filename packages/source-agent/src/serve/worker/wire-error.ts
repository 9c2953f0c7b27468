import { Metadata, status } from '@grpc/grpc-js';
import { fromServiceError, toServiceError } from '@umem/api';
import { Internal } from '@umem/errors';

/** An error as it travels between threads: class, reason and facts survive, its stack does not. */
export interface WireError {
  readonly code: number;
  readonly details: string;
  readonly bin: Uint8Array | null;
}

const DETAILS_KEY = 'grpc-status-details-bin';

export function toWireError(error: unknown): WireError {
  const { code = status.INTERNAL, details = '', metadata } = toServiceError(error);
  const [bin] = metadata?.get(DETAILS_KEY) ?? [];
  return { code, details, bin: bin instanceof Buffer ? new Uint8Array(bin) : null };
}

export function fromWireError({ code, details, bin }: WireError): Error {
  const metadata = new Metadata();
  if (bin) metadata.set(DETAILS_KEY, Buffer.from(bin));
  const error = fromServiceError(
    Object.assign(new Error(details), { code, details, metadata }),
    'the other thread',
  );
  return error instanceof Error ? error : new Internal(details);
}
