import { expect, test } from 'vitest';
import { TokenBucket } from './token-bucket.js';

/** A clock that is set by hand, in milliseconds. */
function clock(): { now: () => bigint; pass: (ms: number) => void } {
  let ns = 5_000_000_000n;
  return { now: () => ns, pass: (ms) => (ns += BigInt(Math.round(ms * 1e6))) };
}

test('without a limit nothing waits', () => {
  const bucket = TokenBucket.create(0);
  expect(bucket.take(1e12)).toBe(true);
  expect(bucket.take(1e12)).toBe(true);
  expect(bucket.delayMs()).toBe(0);
  expect(bucket.pagesPerTurn()).toBe(Infinity);
});

test('who has taken a turn waits until it is paid for', () => {
  const { now, pass } = clock();
  const bucket = TokenBucket.create(1_000_000, now);
  expect(bucket.delayMs()).toBe(0);
  expect(bucket.take(130_000)).toBe(true);
  expect(bucket.take(1)).toBe(false);
  expect(bucket.delayMs()).toBe(100);
  pass(99.5);
  expect(bucket.delayMs()).toBe(1);
  pass(0.5);
  expect(bucket.delayMs()).toBe(0);
  expect(bucket.take(1)).toBe(true);
});

test('what was taken too much is given back', () => {
  const { now } = clock();
  const bucket = TokenBucket.create(1_000_000, now);
  bucket.take(130_000);
  bucket.giveBack(60_000);
  expect(bucket.delayMs()).toBe(40);
});

test('a long pause saves up no more than 30 ms worth', () => {
  const { now, pass } = clock();
  const bucket = TokenBucket.create(1_000_000, now);
  bucket.take(1);
  pass(60_000);
  bucket.take(30_000);
  expect(bucket.delayMs()).toBe(0);
  bucket.take(1_000);
  expect(bucket.delayMs()).toBe(1);
});

/** Bytes sent in each millisecond by three threads that share a bucket and look whenever they may. */
function send(rate: number, ms: number): { bucket: TokenBucket; run: (ms: number) => number[] } {
  const { now, pass } = clock();
  const bucket = TokenBucket.create(rate, now);
  const sharers = [bucket, new TokenBucket(bucket.share, now), new TokenBucket(bucket.share, now)];
  const run = (duration: number): number[] =>
    Array.from({ length: duration }, () => {
      let sent = 0;
      for (const one of sharers) {
        const bytes = Math.min(64, one.pagesPerTurn()) * 4096;
        if (one.take(bytes)) sent += bytes;
      }
      pass(1);
      return sent;
    });
  run(ms);
  return { bucket, run };
}

function sumOfEachSecond(perMs: readonly number[]): number[] {
  return Array.from({ length: perMs.length - 999 }, (_, i) =>
    perMs.slice(i, i + 1000).reduce((a, b) => a + b),
  );
}

test.each([300_000, 1 << 20, 10_000_000, 50 << 20])(
  'all who share it keep within 5 %% of %i bytes in any second',
  (rate) => {
    const seconds = sumOfEachSecond(send(rate, 100).run(4000));
    expect(Math.max(...seconds)).toBeLessThan(rate * 1.05);
    expect(Math.min(...seconds)).toBeGreaterThan(rate * 0.95);
  },
);

test('a new rate holds at once and for all, up or down', () => {
  const { bucket, run } = send(1 << 20, 1000);
  for (const rate of [20 << 20, 2 << 20, 8 << 20]) {
    bucket.setRate(rate);
    const [first = 0] = sumOfEachSecond(run(1000));
    expect(first / rate).toBeGreaterThan(0.95);
    expect(first / rate).toBeLessThan(1.05);
  }
});

test('a debt of hours ends when the limit is lifted', () => {
  const { now } = clock();
  const bucket = TokenBucket.create(1, now);
  bucket.take(1e9);
  expect(bucket.delayMs()).toBeGreaterThan(1e6);
  bucket.setRate(0);
  expect(bucket.delayMs()).toBe(0);
  bucket.setRate(1 << 20);
  expect(bucket.take(1)).toBe(true);
});

test('a slow rate goes in small turns, at least a page at a time', () => {
  expect(TokenBucket.create(1).pagesPerTurn()).toBe(1);
  expect(TokenBucket.create(8 << 20).pagesPerTurn()).toBe(20);
});
