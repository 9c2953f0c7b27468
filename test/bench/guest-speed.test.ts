import { expect, test } from 'vitest';
import { lostMs, speedOf, timeToSpeedMs, type Progress } from './guest-speed.js';

/** A moment every 20 ms, with operations as the speed of that moment brings. */
function progress(seconds: number, opsPerSecond: (atMs: number) => number): Progress[] {
  let ops = 500;
  return Array.from({ length: seconds * 50 + 1 }, (_, i) => {
    if (i > 0) ops += opsPerSecond(i * 20) / 50;
    return { atUs: i * 20_000, ops };
  });
}

const full = { fromUs: 0, fullSpeed: 1000, share: 0.9 };

test('speed is what was done per second', () => {
  expect(speedOf(progress(2, () => 1000))).toBeCloseTo(1000);
  expect(speedOf(progress(2, (atMs) => (atMs <= 1000 ? 0 : 1000)))).toBeCloseTo(500);
  expect(speedOf([{ atUs: 1, ops: 1 }])).toBeNaN();
});

test('a guest that never slowed down was at speed at once', () => {
  expect(
    timeToSpeedMs(
      progress(1, () => 1000),
      full,
    ),
  ).toBe(0);
});

test('a guest is at speed when a whole window is, not when one moment is', () => {
  const slow = progress(3, (atMs) => (atMs > 1000 || (atMs > 400 && atMs <= 440) ? 1000 : 100));
  const ms = timeToSpeedMs(slow, full);
  expect(ms).toBeGreaterThan(900);
  expect(ms).toBeLessThanOrEqual(1000);
});

test('time counts from where it is told', () => {
  const slow = progress(3, (atMs) => (atMs > 1000 ? 1000 : 100));
  expect(timeToSpeedMs(slow, { ...full, fromUs: 600_000 })).toBe(timeToSpeedMs(slow, full) - 600);
});

test('a guest that never was at speed has no time', () => {
  expect(
    timeToSpeedMs(
      progress(3, () => 800),
      full,
    ),
  ).toBeNaN();
  expect(timeToSpeedMs([], full)).toBeNaN();
});

test('lost is the work that was not done', () => {
  const half = progress(2, (atMs) => (atMs > 1000 ? 1000 : 500));
  const [first = { atUs: 0, ops: 0 }] = half;
  expect(lostMs(first, half.at(-1) ?? first, 1000)).toBeCloseTo(500);
});
