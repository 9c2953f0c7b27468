import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import * as errors from './index.js';
import { PageLoss, UmemError, WrongState } from './index.js';

const PLAIN = [
  [errors.InvalidArgument, status.INVALID_ARGUMENT, 'INVALID_ARGUMENT'],
  [errors.PgoffOutOfRange, status.OUT_OF_RANGE, 'PGOFF_OUT_OF_RANGE'],
  [errors.NotFound, status.NOT_FOUND, 'NOT_FOUND'],
  [errors.AlreadyExists, status.ALREADY_EXISTS, 'ALREADY_EXISTS'],
  [errors.Unauthenticated, status.UNAUTHENTICATED, 'UNAUTHENTICATED'],
  [errors.PermissionDenied, status.PERMISSION_DENIED, 'PERMISSION_DENIED'],
  [errors.HostPrecondition, status.FAILED_PRECONDITION, 'HOST_PRECONDITION'],
  [errors.StaleSession, status.ABORTED, 'STALE_SESSION'],
  [errors.PeerUnavailable, status.UNAVAILABLE, 'PEER_UNAVAILABLE'],
  [errors.Overloaded, status.RESOURCE_EXHAUSTED, 'OVERLOADED'],
  [errors.Cancelled, status.CANCELLED, 'CANCELLED'],
  [errors.DeadlineExceeded, status.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED'],
  [errors.Internal, status.INTERNAL, 'INTERNAL'],
  [errors.Unimplemented, status.UNIMPLEMENTED, 'UNIMPLEMENTED'],
] as const;

describe.each(PLAIN)('%o', (Class, code, reason) => {
  test('has its code, its reason and its name', () => {
    const cause = new Error('below');
    const error = new Class('What failed', { cause, metadata: { pages: '3' } });
    expect(error).toBeInstanceOf(UmemError);
    expect(error).toMatchObject({
      code,
      reason,
      name: Class.name,
      message: 'What failed',
      cause,
      metadata: { pages: '3' },
    });
  });
  test('takes a reason of its own, and needs neither cause nor facts', () => {
    expect(new Class('x', { reason: 'NO_USERFAULTFD' }).reason).toBe('NO_USERFAULTFD');
    expect(Object.hasOwn(new Class('x'), 'cause')).toBe(false);
    expect(new Class('x').metadata).toEqual({});
  });
});

test('a wrong state says who, where it is and what it may not', () => {
  const error = new WrongState(
    'migration mig-7f3a',
    'COMPLETED',
    ['PREPARING', 'FREEZING'],
    'it cannot be cancelled any more',
  );
  expect(error).toMatchObject({
    name: 'WrongState',
    code: status.FAILED_PRECONDITION,
    reason: 'WRONG_STATE',
    message: 'Migration mig-7f3a is COMPLETED: it cannot be cancelled any more',
    metadata: { subject: 'migration mig-7f3a', current: 'COMPLETED', allowed: 'PREPARING,FREEZING' },
  });
});

test('a page loss says how much is lost and where it begins', () => {
  expect(new PageLoss('7 pages are lost', 'ram0', 12, 7)).toMatchObject({
    name: 'PageLoss',
    code: status.DATA_LOSS,
    reason: 'PAGE_LOSS',
    metadata: { blockId: 'ram0', pgoff: '12', missingPages: '7' },
  });
});
