import { Cancelled } from '@umem/errors';
import { expect, test } from 'vitest';
import { unlessAborted } from './unless-aborted.js';

test('work that ends first decides', async () => {
  const { signal } = new AbortController();
  expect(await unlessAborted(Promise.resolve(7), signal)).toBe(7);
  await expect(unlessAborted(Promise.reject(new Error('broken')), signal)).rejects.toThrow('broken');
});

test('an abort ends the wait for work that hangs, before or after it begins', async () => {
  const aborting = new AbortController();
  const waiting = unlessAborted(new Promise(() => {}), aborting.signal);
  aborting.abort(new Cancelled('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(unlessAborted(new Promise(() => {}), aborting.signal)).rejects.toThrow('enough');
});
