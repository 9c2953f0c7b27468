import { PageBitmap } from '@umem/ram';
import { expect, test } from 'vitest';
import { BackgroundOrder } from './background-order.js';

const PAGES = 16_384;
/** Pages that arrive in the background per step, and what a guest thread can do meanwhile. */
const PAGES_PER_STEP = 64;
const STEP_US = 4000;
const ACCESS_US = 180;
const FAULT_US = 400;

/** Which page a thread of a guest uses next. */
type Access = () => number;

/** Numbers from 0 to 1, always the same ones. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function forward(from: number, stride: number): Access {
  let page = from;
  return () => (page = (page + stride) % PAGES);
}

/** A few pages much more than others; they lie in pieces of 256 that are scattered over RAM. */
function popular(seed: number): Access {
  const next = random(seed);
  return () => {
    const rank = Math.floor(PAGES * next() ** 4);
    return (((Math.floor(rank / 256) * 37) % 64) * 256 + (rank % 256)) % PAGES;
  };
}

function evenly(seed: number): Access {
  const next = random(seed);
  return () => Math.floor(PAGES * next());
}

/** Faults that a guest has until all pages are there. Time is counted, not measured. */
function countFaults(threads: readonly Access[], followsFaults: boolean): number {
  const present = new PageBitmap(PAGES);
  const order = new BackgroundOrder([PAGES], (_, from, limit, maxPages) =>
    present.nextMissing(from, limit, maxPages),
  );
  const busyUntilUs = threads.map(() => 0);
  let faults = 0;
  for (let nowUs = STEP_US; ; nowUs += STEP_US) {
    let newest: number | null = null;
    for (const [i, access] of threads.entries()) {
      let us = busyUntilUs[i] ?? 0;
      for (; us < nowUs; us += ACCESS_US) {
        const page = access();
        if (present.has(page)) continue;
        present.add(page);
        newest = page;
        us += FAULT_US;
        faults++;
      }
      busyUntilUs[i] = us;
    }
    if (newest !== null && followsFaults) order.faulted({ block: 0, pgoff: newest });
    for (let left = PAGES_PER_STEP; left > 0;) {
      const range = order.next(left);
      if (!range) return faults;
      present.addRange(range);
      left -= range.pageCount;
    }
  }
}

/** Faults with an order that follows them, for each without. */
function compare(threads: () => Access[]): number {
  return countFaults(threads(), true) / countFaults(threads(), false);
}

test('a guest that reads forward in two places hardly faults when the background follows it', () => {
  expect(compare(() => [forward(5000, 1), forward(13_000, 1)])).toBeLessThan(0.15);
});

test('a guest that prefers some pieces of its RAM faults less', () => {
  expect(compare(() => [popular(1), popular(2)])).toBeLessThan(0.95);
});

test('a guest that leaps ahead of the background does not fault more', () => {
  expect(compare(() => [forward(5000, 17), forward(13_000, 17)])).toBeLessThan(1.02);
});

test('a guest without any order does not fault more', () => {
  expect(compare(() => [evenly(1), evenly(2)])).toBeLessThan(1.02);
});
