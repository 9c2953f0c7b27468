import * as errors from '@umem/errors';
import { describe, expect, it } from 'vitest';
import { CommandFailure, toExitCode } from './exit-codes.js';

const CODES: Readonly<Record<string, number>> = {
  InvalidArgument: 2,
  NotFound: 3,
  AlreadyExists: 3,
  Unauthenticated: 3,
  PermissionDenied: 3,
  WrongState: 3,
  HostPrecondition: 3,
  Unimplemented: 3,
  Cancelled: 3,
  StaleSession: 4,
  PeerUnavailable: 4,
  DeadlineExceeded: 4,
  Overloaded: 4,
  PageLoss: 5,
  PgoffOutOfRange: 70,
  Internal: 70,
};

describe('exit codes', () => {
  it.each(Object.entries(CODES))('%s exits %i', (name, code) => {
    const Class = Object.entries(errors).find(([key]) => key === name)?.[1] as new (
      ...args: unknown[]
    ) => Error;
    expect(toExitCode(new Class('subject', 'current', [], 'clause'))).toBe(code);
  });

  it('gives each error class a code on purpose', () => {
    const classes = Object.keys(errors).filter((name) => /^[A-Z]/.test(name) && name !== 'UmemError');
    expect(Object.keys(CODES).sort()).toEqual(classes.sort());
  });

  it('lets a command choose, and takes everything else for a bug', () => {
    expect(toExitCode(new CommandFailure('No', 5))).toBe(5);
    expect(toExitCode(new TypeError('x is not a function'))).toBe(70);
    expect(toExitCode('thrown text')).toBe(70);
  });
});
