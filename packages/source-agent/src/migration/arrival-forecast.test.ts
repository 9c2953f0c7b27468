import { expect, test } from 'vitest';
import { ArrivalForecast } from './arrival-forecast.js';

function forecast(): {
  at: (ms: number) => void;
  add: (ms: number, pages: number) => void;
  remainingUs: () => bigint | null;
} {
  let now = 0;
  const one = new ArrivalForecast(() => now);
  return {
    at: (ms) => (now = ms),
    add: (ms, pages) => {
      now = ms;
      one.add(pages);
    },
    remainingUs: () => one.remainingUs(),
  };
}

test('nothing is foretold from too little', () => {
  const one = forecast();
  expect(one.remainingUs()).toBeNull();
  one.add(0, 1000);
  expect(one.remainingUs()).toBeNull();
  one.add(200, 900);
  expect(one.remainingUs()).toBeNull();
});

test('what is left takes as long as it took lately, and time passes', () => {
  const one = forecast();
  one.add(0, 2000);
  one.add(1000, 1000);
  expect(one.remainingUs()).toBe(1_000_000n);
  one.at(1250);
  expect(one.remainingUs()).toBe(750_000n);
  one.at(9000);
  expect(one.remainingUs()).toBe(0n);
});

test('only the last seconds count', () => {
  const one = forecast();
  one.add(0, 1_000_000);
  for (let ms = 1000; ms <= 20_000; ms += 1000) one.add(ms, 100_000 - ms);
  expect(one.remainingUs()).toBe(80_000_000n);
});

test('when nothing arrives it is unknown, when nothing is missing it is now', () => {
  const one = forecast();
  one.add(0, 50);
  one.add(5000, 50);
  expect(one.remainingUs()).toBeNull();
  one.add(6000, 0);
  expect(one.remainingUs()).toBe(0n);
});
