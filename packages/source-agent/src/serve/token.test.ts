import { expect, test } from 'vitest';
import { createToken, isDigest, toDigest } from './token.js';

test('a token is 256 random bits, and only its digest is compared', () => {
  const tokens = Array.from({ length: 100 }, createToken);
  expect(new Set(tokens).size).toBe(100);
  for (const token of tokens) expect(Buffer.from(token, 'base64url')).toHaveLength(32);
  expect(isDigest(toDigest('a'), toDigest('a'))).toBe(true);
  expect(isDigest(toDigest('a'), toDigest('b'))).toBe(false);
  expect(isDigest(toDigest('a'), Buffer.alloc(0))).toBe(false);
});
