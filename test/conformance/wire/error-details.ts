import type { Metadata } from '@grpc/grpc-js';
import { check } from '../rule.js';

const KEY = 'grpc-status-details-bin';
/** What google.rpc.Status has of an ErrorInfo whose domain (field 2) is "umem". */
const PARTS = ['type.googleapis.com/google.rpc.ErrorInfo', '\x12\x04umem'];

/** Throws unless a status carries google.rpc.Status with an ErrorInfo of this domain. */
export function checkErrorDetails(what: string, metadata: Metadata): void {
  const [details] = metadata.get(KEY);
  check(details !== undefined, `${what} has no ${KEY}`);
  const bytes = Buffer.from(details);
  for (const part of PARTS)
    check(bytes.includes(part), `${KEY} of ${what} has no google.rpc.ErrorInfo of domain "umem"`);
}
