import { expect, test } from 'vitest';
import { messageOf } from './message.js';

test('causes follow, from the outside in', () => {
  const error = new Error('Cannot move vm1', {
    cause: new Error('Cannot map ram0', { cause: new Error('EACCES') }),
  });
  expect(messageOf(error)).toBe('Cannot move vm1: Cannot map ram0: EACCES');
});

test('what a message repeats of its cause is said once', () => {
  const cause = new Error('EACCES');
  expect(messageOf(new Error('Cannot map ram0: EACCES', { cause }))).toBe('Cannot map ram0: EACCES');
});

test('what is not an Error is shown as text', () => {
  expect(messageOf('plain')).toBe('plain');
  expect(messageOf(42)).toBe('42');
  expect(messageOf({ code: 5 })).toBe('{ code: 5 }');
  expect(messageOf(new Error('outer', { cause: 'inner' }))).toBe('outer: inner');
  expect(messageOf(undefined)).toBe('');
  expect(messageOf(null)).toBe('');
});

test('a circle of causes ends', () => {
  const a = new Error('a');
  const b = new Error('b', { cause: a });
  a.cause = b;
  expect(messageOf(a)).toBe('a: b');
});
