import { expect, test } from 'vitest';
import { ratios, summarize } from './statistics.js';

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

test('a scenario and its baseline are compared by their medians, where both have the metric', () => {
  const compared = ratios(summarize([{ faults: 30, only: 1 }]), summarize([{ faults: 10 }, { faults: 90 }]));
  expect(compared).toEqual({ faults: 30 / 50 });
});

test('there is no ratio to a baseline of 0', () => {
  expect(ratios(summarize([{ a: 1 }]), summarize([{ a: 0 }]))).toEqual({ a: NaN });
});
