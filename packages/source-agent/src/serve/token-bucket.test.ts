import { expect, test } from 'vitest';
import { TokenBucket } from './token-bucket.js';

/** A clock that is set by hand, in milliseconds. */
function clock(): { now: () => bigint; pass: (ms: number) => void } {
  let ns = 5_000_000_000n;
  return { now: () => ns, pass: (ms) => (ns += BigInt(Math.round(ms * 1e6))) };
}

test('without a limit nothing waits', () => {
  const bucket = new TokenBucket(0);
  bucket.pay(1e12);
  expect(bucket.delayMs()).toBe(0);
  expect(bucket.pagesPerTurn()).toBe(Infinity);
});

test('who has sent waits until it is paid for', () => {
  const { now, pass } = clock();
  const bucket = new TokenBucket(1_000_000, undefined, now);
  expect(bucket.delayMs()).toBe(0);
  bucket.pay(120_000);
  expect(bucket.delayMs()).toBe(100);
  pass(99.5);
  expect(bucket.delayMs()).toBe(1);
  pass(0.5);
  expect(bucket.delayMs()).toBe(0);
});

test('a long pause saves up no more than 20 ms worth', () => {
  const { now, pass } = clock();
  const bucket = new TokenBucket(1_000_000, undefined, now);
  bucket.pay(1);
  pass(60_000);
  bucket.pay(20_000);
  expect(bucket.delayMs()).toBe(0);
  bucket.pay(1_000);
  expect(bucket.delayMs()).toBe(1);
});

test('all who share it keep to the rate together', () => {
  const { now, pass } = clock();
  const bucket = new TokenBucket(10_000_000, undefined, now);
  const sharers = [
    bucket,
    new TokenBucket(10_000_000, bucket.share, now),
    new TokenBucket(10_000_000, bucket.share, now),
  ];
  let sent = 0;
  for (let ms = 0; ms < 1000; ms++) {
    for (const one of sharers)
      if (one.delayMs() === 0) {
        one.pay(32_768);
        sent += 32_768;
      }
    pass(1);
  }
  expect(sent).toBeGreaterThan(9_900_000);
  expect(sent).toBeLessThan(10_000_000 * 1.05);
});

test('a slow rate goes in small turns, at least a page at a time', () => {
  expect(new TokenBucket(1).pagesPerTurn()).toBe(1);
  expect(new TokenBucket(8 << 20).pagesPerTurn()).toBe(102);
});
