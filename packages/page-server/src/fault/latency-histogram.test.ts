import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyHistogram } from './latency-histogram.js';

test('quantiles are at most a sixteenth above the truth and never below it', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 10_000_000 }), { minLength: 1, maxLength: 200 }), (durations) => {
      const histogram = new LatencyHistogram();
      for (const us of durations) histogram.add(us);
      const sorted = [...durations].sort((a, b) => a - b);
      for (const q of [0.5, 0.99, 1]) {
        const truth = sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0;
        expect(histogram.quantile(q)).toBeGreaterThanOrEqual(truth);
        expect(histogram.quantile(q)).toBeLessThanOrEqual(truth * (1 + 1 / 16) + 1);
      }
    }),
  );
});

test('bucket i counts what is below 2^i µs and not below 2^(i-1), without trailing zeros', () => {
  const histogram = new LatencyHistogram();
  for (const us of [0, 0.9, 1, 2, 3, 4, 1023, 1024]) histogram.add(us);
  const message = histogram.toMessage();
  expect(message.powerOfTwoBuckets).toEqual([2n, 1n, 2n, 1n, 0n, 0n, 0n, 0n, 0n, 0n, 1n, 1n]);
  expect(message).toMatchObject({ count: 8n, sumUs: 2057n, maxUs: 1024n });
});

test('an empty one is all zeros', () => {
  expect(new LatencyHistogram().toMessage()).toEqual({
    count: 0n,
    sumUs: 0n,
    p50Us: 0n,
    p99Us: 0n,
    maxUs: 0n,
    powerOfTwoBuckets: [],
  });
});
