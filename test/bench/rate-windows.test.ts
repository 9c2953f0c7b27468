import { expect, test } from 'vitest';
import { deviationOf, worstOf, type Arrival } from './rate-windows.js';

/** One arrival every 50 ms, with as many bytes as the rate of that moment brings. */
function arrivals(seconds: number, bytesPerSecond: (atMs: number) => number): Arrival[] {
  let bytes = 0;
  return Array.from({ length: seconds * 20 + 1 }, (_, i) => {
    if (i > 0) bytes += bytesPerSecond(i * 50) / 20;
    return { atMs: i * 50, bytes };
  });
}

test('an even stream at the limit does not deviate', () => {
  const { lowestPercent, highestPercent } = deviationOf(
    arrivals(3, () => 1000),
    { fromMs: 0, toMs: 3000, bytesPerSecond: 1000 },
  );
  expect(lowestPercent).toBeCloseTo(0);
  expect(highestPercent).toBeCloseTo(0);
});

test('the worst second counts, wherever it begins', () => {
  const uneven = arrivals(4, (atMs) => (atMs > 1200 && atMs <= 2200 ? 1500 : 1000));
  const deviation = deviationOf(uneven, { fromMs: 0, toMs: 4000, bytesPerSecond: 1000 });
  expect(deviation.highestPercent).toBeCloseTo(50);
  expect(deviation.lowestPercent).toBeCloseTo(0);
  expect(worstOf([deviation, { lowestPercent: -60, highestPercent: 1 }])).toBe(60);
});

test('a stall shows as too little', () => {
  const stalled = arrivals(4, (atMs) => (atMs > 1000 && atMs <= 1500 ? 0 : 1000));
  const { lowestPercent } = deviationOf(stalled, { fromMs: 0, toMs: 4000, bytesPerSecond: 1000 });
  expect(lowestPercent).toBeCloseTo(-50);
});

test('what lies outside the time does not count', () => {
  const twoRates = arrivals(6, (atMs) => (atMs <= 3000 ? 1000 : 4000));
  const { highestPercent } = deviationOf(twoRates, { fromMs: 0, toMs: 3000, bytesPerSecond: 1000 });
  expect(highestPercent).toBeCloseTo(0);
  const later = deviationOf(twoRates, { fromMs: 3010, toMs: 6000, bytesPerSecond: 4000 });
  expect(worstOf([later])).toBeCloseTo(0);
});

test('a time without a whole second, or without arrivals, has no deviation', () => {
  const short = { fromMs: 0, toMs: 900, bytesPerSecond: 1000 };
  expect(
    deviationOf(
      arrivals(3, () => 1000),
      short,
    ).highestPercent,
  ).toBeNaN();
  expect(worstOf([deviationOf([], { ...short, toMs: 5000 })])).toBeNaN();
});
