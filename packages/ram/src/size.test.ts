import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatBytes, parseBytes } from './size.js';

test.each([
  ['0', 0],
  ['4096', 4096],
  ['1K', 1024],
  ['64MiB', 64 * 2 ** 20],
  ['1.5GiB', 1.5 * 2 ** 30],
  [' 2 TiB ', 2 * 2 ** 40],
  ['1kB', 1000],
  ['10GB', 1e10],
])('"%s" is %i bytes', (text, bytes) => {
  expect(parseBytes(text)).toBe(bytes);
});

test.each([
  '',
  'MiB',
  '-1',
  '1..5M',
  '1 2',
  '0x10',
  '1e3',
  '1mib',
  '1constructor',
  '9999999TiB',
  '1,5G',
  '١',
])('"%s" is refused', (text) => {
  expect(() => parseBytes(text)).toThrow(`"${text}" is not a size`);
});

test('a plain number is itself', () => {
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (n) => {
      expect(parseBytes(String(n))).toBe(n);
    }),
  );
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [730 * 1024, '730 KiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [512 * 2 ** 20, '512 MiB'],
  [3000 * 2 ** 40, '3000 TiB'],
])('%i bytes are shown as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test('what is shown is within 5 % when it is read again', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 45 }), (bytes) => {
      expect(Math.abs(parseBytes(formatBytes(bytes)) - bytes) / bytes).toBeLessThanOrEqual(0.05);
    }),
  );
});
