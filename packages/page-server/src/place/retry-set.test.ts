import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { PendingPlacement } from './pending.js';
import { RetrySet } from './retry-set.js';

const pendingAt = (pgoff: number): PendingPlacement => ({
  kind: 'zeros',
  blockId: 'ram0',
  range: { pgoff, pageCount: 1 },
});

test('while much cannot be placed nothing more should come, until most of it could be', async () => {
  let blocked = true;
  const said: boolean[] = [];
  const placed: PendingPlacement[] = [];
  const retries = new RetrySet({
    drainEvents: () => {},
    settle: (pending) => {
      if (blocked) retries.add(pending);
      else placed.push(pending);
    },
    crowded: (crowded) => said.push(crowded),
  });
  for (let i = 0; i < 256; i++) retries.add(pendingAt(i));
  expect(said).toEqual([]);
  retries.add(pendingAt(256));
  expect(said).toEqual([true]);
  await setImmediate();
  await setImmediate();
  expect(said).toEqual([true]);
  expect(retries.size).toBe(257);
  blocked = false;
  while (retries.size > 0) await setImmediate();
  expect(said).toEqual([true, false]);
  expect(placed).toHaveLength(257);
});
