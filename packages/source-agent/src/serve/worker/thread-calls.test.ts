import { MessageChannel } from 'node:worker_threads';
import { Internal, NotFound, StaleSession, WrongState } from '@umem/errors';
import { afterEach, expect, test } from 'vitest';
import { ThreadCalls } from './thread-calls.js';

let channel: MessageChannel;
afterEach(() => channel.port1.close());

function connect(handle: (message: string) => Promise<void> | void): ThreadCalls<string, string> {
  channel = new MessageChannel();
  const fail = (error: unknown): void => {
    throw error;
  };
  new ThreadCalls<string, string>(channel.port2, handle, fail);
  return new ThreadCalls<string, string>(channel.port1, () => {}, fail);
}

test('a call resolves when the other side has done it', async () => {
  const seen: string[] = [];
  const calls = connect(async (message) => {
    await Promise.resolve();
    seen.push(message);
  });
  calls.tell('first');
  await calls.call('second');
  expect(seen).toEqual(['first', 'second']);
});

test('an error crosses with its class, reason and facts', async () => {
  const calls = connect((message) => {
    if (message === 'stale')
      throw new StaleSession('Generation 1 is stale', { metadata: { generation: '1' } });
    if (message === 'state') throw new WrongState('migration x', 'FAILED', ['PREPARING'], 'no');
    throw new NotFound('Nothing here', { reason: 'LOST' });
  });
  const stale = await calls.call('stale').catch((error: unknown) => error);
  expect(stale).toBeInstanceOf(StaleSession);
  expect(stale).toMatchObject({ message: 'Generation 1 is stale', metadata: { generation: '1' } });
  await expect(calls.call('state')).rejects.toMatchObject({ current: 'FAILED', allowed: ['PREPARING'] });
  await expect(calls.call('x')).rejects.toMatchObject({ reason: 'LOST' });
});

test('calls that wait when the thread ends fail, and later ones as well', async () => {
  const calls = connect(() => new Promise(() => {}));
  const waiting = calls.call('never');
  calls.close(new Internal('The thread ended'));
  await expect(waiting).rejects.toThrow('The thread ended');
  await expect(calls.call('late')).rejects.toThrow('The thread ended');
});
