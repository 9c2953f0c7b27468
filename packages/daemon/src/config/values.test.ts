import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { address, boolean, bytes, descriptors, durationMs, integer, listOf, name, path } from './values.js';

function problem(schema: z.ZodType, value: unknown): string {
  const read = schema.safeParse(value);
  if (read.success) throw new Error(`${JSON.stringify(value)} was taken as ${JSON.stringify(read.data)}`);
  return read.error.issues.map(({ message }) => message).join('; ');
}

describe('bytes', () => {
  test.each([
    ['4096', 4096],
    ['64MiB', 64 << 20],
    ['1.5GiB', 1.5 * 2 ** 30],
    [4096, 4096],
    ['0', 0],
  ])('%s is %i', (text, value) => {
    expect(bytes().parse(text)).toBe(value);
  });
  test.each(['', 'much', '-1', '12 parsecs', true, null, {}, [1]])('%j is refused', (value) => {
    expect(problem(bytes(), value)).toMatch(/size/);
  });
  test('bounds are named', () => {
    expect(problem(bytes({ min: 4096 }), '1KiB')).toBe('It must be a size at least 4 KiB, not 1 KiB');
    expect(problem(bytes({ max: 1 << 20 }), '1GiB')).toBe('It must be a size from 0 B to 1 MiB, not 1 GiB');
  });
});

describe('durationMs', () => {
  test.each([
    ['200ms', 200],
    ['5s', 5000],
    ['1.5min', 90_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['0', 0],
    [0, 0],
  ])('%s is %i ms', (text, ms) => {
    expect(durationMs().parse(text)).toBe(ms);
  });
  test.each(['5', 5, 's', '1e3s', '-1s', 'constructor', ''])('%j is refused', (value) => {
    expect(problem(durationMs(), value)).toMatch(/duration/);
  });
  test('bounds are named', () => {
    expect(problem(durationMs({ min: 1000, max: 60_000 }), '10ms')).toBe(
      'It must be a duration from 1s to 60s, not 10ms',
    );
  });
});

describe('integer', () => {
  test('whole numbers within bounds are taken, as text or as numbers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), (n) => {
        expect(integer({ max: 1000 }).parse(String(n))).toBe(n);
        expect(integer({ max: 1000 }).parse(n)).toBe(n);
      }),
    );
  });
  test.each(['1.5', 'x', '', '0x10', '99999999999999999999', 1.5, NaN, true])('%j is refused', (value) => {
    expect(problem(integer(), value)).toMatch(/whole number/);
  });
  test('bounds are named', () => {
    expect(problem(integer({ min: 1, max: 8 }), '9')).toBe('It must be a number from 1 to 8, not 9');
  });
});

describe('boolean', () => {
  test.each([
    [true, true],
    ['true', true],
    ['1', true],
    [false, false],
    ['false', false],
    ['0', false],
  ])('%j is %j', (value, read) => {
    expect(boolean().parse(value)).toBe(read);
  });
  test.each(['yes', '', 'TRUE', 2, null])('%j is refused', (value) => {
    expect(problem(boolean(), value)).toMatch(/neither true nor false/);
  });
});

test('addresses are read and the refusal shows the forms', () => {
  expect(address().parse('[::1]:7001')).toEqual({ kind: 'tcp', host: '::1', port: 7001 });
  expect(address().parse('unix:/run/umem/a.sock')).toEqual({ kind: 'unix', path: '/run/umem/a.sock' });
  expect(problem(address(), 7001)).toContain('host:port or unix:/absolute/path');
  expect(problem(address(), 'unix:relative')).toContain('must be absolute');
});

test('names never contain a path', () => {
  expect(name().parse('vm-1.a_b')).toBe('vm-1.a_b');
  for (const bad of ['', '..', '../x', 'a/b', '-x', 'x'.repeat(64), 'a\n'])
    expect(problem(name(), bad)).toContain('is not a name');
});

test('paths become absolute', () => {
  expect(path().parse('/a/../b')).toBe('/b');
  expect(path().parse('x')).toBe(`${process.cwd()}/x`);
  expect(problem(path(), '')).toContain('not a path');
  expect(problem(path(), 'a\0b')).toContain('not a path');
});

test('lists are text with commas or YAML lists, and each item is checked', () => {
  expect(listOf(integer()).parse('1, 2,3')).toEqual([1, 2, 3]);
  expect(listOf(integer()).parse([1, '2'])).toEqual([1, 2]);
  expect(problem(listOf(integer()), '1,x')).toContain('"x" is not a whole number');
});

describe('descriptors', () => {
  test.each([
    ['3', [3]],
    ['3,4, 17', [3, 4, 17]],
    [
      [3, '2147483647'],
      [3, 2147483647],
    ],
  ])('%j is %j', (value, fds) => {
    expect(descriptors().parse(value)).toEqual(fds);
  });
  test.each(['', '3,', 'fd:3', '-3', '3.5', '2147483648', [null]])('%j is refused', (value) => {
    expect(problem(descriptors(), value)).toMatch(/descriptor's number/);
  });
  test.each([0, 1, 2])('%i is refused, with how to pass what it is', (fd) => {
    expect(problem(descriptors(), String(fd))).toMatch(
      `standard input, output or error: pass the socket as 3`,
    );
  });
});
