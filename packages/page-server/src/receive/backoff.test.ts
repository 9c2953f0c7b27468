import { expect, test } from 'vitest';
import { backoffMs } from './backoff.js';

test('waits double from 50 ms to the limit, spread by half either way', () => {
  const waits = [0, 1, 2, 3, 10, 1000].map((attempt) => backoffMs(attempt, 1_000, () => 0.5));
  expect(waits).toEqual([50, 100, 200, 400, 1_000, 1_000]);
  expect(backoffMs(3, 1_000, () => 0)).toBe(200);
  expect(backoffMs(3, 1_000, () => 0.999)).toBeCloseTo(600, 0);
});
