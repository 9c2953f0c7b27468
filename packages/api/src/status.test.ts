import { credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import * as errors from '@umem/errors';
import { PageLoss, UmemError, WrongState } from '@umem/errors';
import { expect, onTestFinished, test } from 'vitest';
import { call } from './call.js';
import { UmemdClient, UmemdService } from './gen/umem/v1/umemd.js';
import { unary } from './handlers.js';
import { fromServiceError, toServiceError } from './status.js';
import { serve } from './testing/serve.js';

const PEER = 'page-server unix:/x';

/** What a caller catches when a handler at the other end of a real connection throws. */
async function across(thrown: unknown): Promise<unknown> {
  const getUmem = unary(() => {
    throw thrown;
  });
  return caught(await serve(UmemdService, { getUmem }));
}

async function caught(address: string): Promise<unknown> {
  const client = new UmemdClient(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  try {
    await call(client, client.getUmem, { name: 'vm1' }, { peer: PEER });
  } catch (error) {
    return error;
  }
  throw new Error('The call succeeded');
}

const CLASSES = [
  errors.InvalidArgument,
  errors.PgoffOutOfRange,
  errors.NotFound,
  errors.AlreadyExists,
  errors.Unauthenticated,
  errors.PermissionDenied,
  errors.HostPrecondition,
  errors.StaleSession,
  errors.PeerUnavailable,
  errors.Overloaded,
  errors.Cancelled,
  errors.DeadlineExceeded,
  errors.Unimplemented,
];

test.each(CLASSES)('%o arrives as itself, with message, reason and facts', async (Class) => {
  const thrown = new Class('RAM block "ram0" – 3 of 4', {
    reason: 'SOME_REASON',
    metadata: { blockId: 'ram0' },
  });
  const error = await across(thrown);
  expect(error).toBeInstanceOf(Class);
  expect(error).toMatchObject({
    message: thrown.message,
    reason: 'SOME_REASON',
    code: thrown.code,
    metadata: { blockId: 'ram0', peer: PEER },
  });
});

test('causes arrive in the message', async () => {
  const cause = new Error('EACCES');
  expect(await across(new errors.HostPrecondition('Cannot map ram0', { cause }))).toMatchObject({
    message: 'Cannot map ram0: EACCES',
  });
});

test('a wrong state arrives with its states and its sentence', async () => {
  const error = await across(
    new WrongState(
      'migration mig-1',
      'COMPLETED',
      ['PREPARING', 'FREEZING'],
      'it cannot be cancelled any more',
    ),
  );
  expect(error).toBeInstanceOf(WrongState);
  expect(error).toMatchObject({
    name: 'WrongState',
    message: 'Migration mig-1 is COMPLETED: it cannot be cancelled any more',
    subject: 'migration mig-1',
    current: 'COMPLETED',
    allowed: ['PREPARING', 'FREEZING'],
  });
});

test('a page loss arrives with its numbers', async () => {
  const error = await across(new PageLoss('7 pages of vm1 are lost', 'ram0', 2 ** 32 - 1, 7));
  expect(error).toBeInstanceOf(PageLoss);
  expect(error).toMatchObject({
    message: '7 pages of vm1 are lost',
    blockId: 'ram0',
    pgoff: 2 ** 32 - 1,
    missingPages: 7,
  });
});

test('a bug at the peer is Internal and names the peer', async () => {
  for (const bug of [new TypeError('x is undefined'), new errors.Internal('x is undefined')]) {
    const error = await across(bug);
    expect(error).toBeInstanceOf(errors.Internal);
    expect(error).toMatchObject({ message: `${PEER} failed: x is undefined` });
  }
});

test('what is thrown and is no Error at all still ends the call', async () => {
  expect(await across('just text')).toMatchObject({
    code: status.INTERNAL,
    message: `${PEER} failed: just text`,
  });
  expect(await across(undefined)).toBeInstanceOf(errors.Internal);
});

test('a peer that is not there is named, with what to check', async () => {
  const error = await caught('unix:/nonexistent/umemd.sock');
  expect(error).toBeInstanceOf(errors.PeerUnavailable);
  expect(error).toMatchObject({
    message:
      'Cannot reach page-server unix:/x: connect ENOENT /nonexistent/umemd.sock. Check that it runs and that the address is right',
  });
});

test('a status of a peer that is not ours becomes a class by its code', async () => {
  const getUmem = (_: unknown, callback: (error: Partial<ServiceError>) => void): void =>
    callback({ code: status.RESOURCE_EXHAUSTED, details: 'quota', metadata: new Metadata() });
  expect(await caught(await serve(UmemdService, { getUmem }))).toMatchObject({
    name: 'Overloaded',
    message: 'quota',
    reason: 'OVERLOADED',
  });
});

test('garbled details leave code and message', async () => {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from([0xff, 0xff, 0xff]));
  const getUmem = (_: unknown, callback: (error: Partial<ServiceError>) => void): void =>
    callback({ code: status.NOT_FOUND, details: 'no vm1', metadata });
  expect(await caught(await serve(UmemdService, { getUmem }))).toMatchObject({
    name: 'NotFound',
    message: 'no vm1',
  });
});

test('facts too large for the trailers are left out, and the error still arrives', async () => {
  const thrown = new errors.HostPrecondition('Too much', { metadata: { list: 'x'.repeat(100_000) } });
  expect(await across(thrown)).toMatchObject({ name: 'HostPrecondition', message: 'Too much' });
});

test('a message with line breaks and other scripts arrives as it was', async () => {
  expect(await across(new errors.NotFound('Zeile 1\nZeile 2: größer – 大'))).toMatchObject({
    message: 'Zeile 1\nZeile 2: größer – 大',
  });
});

test('errors that are no gRPC status pass unchanged', () => {
  const error = new Error('local');
  expect(fromServiceError(error, PEER)).toBe(error);
  expect(fromServiceError('text', PEER)).toBe('text');
});

test('our own errors carry the domain that programs look for', () => {
  const { metadata } = toServiceError(new errors.NotFound('x'));
  expect(String(metadata?.get('grpc-status-details-bin')[0])).toContain('umem');
  expect(new errors.NotFound('x')).toBeInstanceOf(UmemError);
});
