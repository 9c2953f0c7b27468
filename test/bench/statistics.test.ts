import { expect, test } from 'vitest';
import { summarize } from './statistics.js';

test('an odd number of rounds has its middle as median', () => {
  const rounds = [3, 1, 100].map((downtimeMs) => ({ downtimeMs }));
  expect(summarize(rounds)).toEqual({ downtimeMs: { median: 3, min: 1, max: 100 } });
});

test('an even number of rounds has the mean of the two middle ones', () => {
  const rounds = [4, 1, 2, 100].map((downtimeMs) => ({ downtimeMs }));
  expect(summarize(rounds)).toEqual({ downtimeMs: { median: 3, min: 1, max: 100 } });
});

test('a metric that is missing from a round spoils its summary instead of hiding', () => {
  expect(summarize([{ a: 1 }, {}])['a']?.median).toBeNaN();
});
