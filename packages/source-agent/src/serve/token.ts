import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** A new lane token: 256 random bits as base64url text. A secret. */
export function createToken(): string {
  return randomBytes(32).toString('base64url');
}

/** What is kept and compared instead of a token: its SHA-256. */
export function toDigest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Compares in a time that says nothing about the contents. */
export function isDigest(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
