import { expect, test } from 'vitest';
import { Watchable } from './watchable.js';

const LONG = 60_000;

test('a follower gets the value at once and after each change', async () => {
  const watchable = new Watchable('a');
  const values = watchable.subscribe(LONG, new AbortController().signal);
  expect(await values.next()).toEqual({ done: false, value: 'a' });
  const next = values.next();
  watchable.set('b');
  expect(await next).toEqual({ done: false, value: 'b' });
});

test('a follower that was busy skips to the newest value', async () => {
  const watchable = new Watchable(0);
  const values = watchable.subscribe(LONG, new AbortController().signal);
  await values.next();
  for (let i = 1; i <= 1000; i++) watchable.set(i);
  expect((await values.next()).value).toBe(1000);
});

test('without changes the value comes again at every interval', async () => {
  const values = new Watchable('same').subscribe(5, new AbortController().signal);
  expect([(await values.next()).value, (await values.next()).value, (await values.next()).value]).toEqual([
    'same',
    'same',
    'same',
  ]);
});

test('notify tells of a change inside the value', async () => {
  const watchable = new Watchable({ pages: 0 });
  const values = watchable.subscribe(LONG, new AbortController().signal);
  await values.next();
  const next = values.next();
  watchable.value.pages = 7;
  watchable.notify();
  expect((await next).value).toEqual({ pages: 7 });
});

test('end lets every follower see the last value and then stop', async () => {
  const watchable = new Watchable('running');
  const collect = async (): Promise<string[]> => {
    const seen: string[] = [];
    for await (const value of watchable.subscribe(LONG, new AbortController().signal)) seen.push(value);
    return seen;
  };
  const followers = [collect(), collect()];
  await new Promise(setImmediate);
  watchable.set('failed');
  watchable.end();
  expect(await Promise.all(followers)).toEqual([
    ['running', 'failed'],
    ['running', 'failed'],
  ]);
  expect(await collect()).toEqual(['failed']);
});

test('an abort ends a follower that waits, and one that has not begun', async () => {
  const ended = new AbortController();
  const values = new Watchable(1).subscribe(LONG, ended.signal);
  await values.next();
  const next = values.next();
  ended.abort();
  expect((await next).done).toBe(true);
  expect((await new Watchable(1).subscribe(LONG, ended.signal).next()).done).toBe(true);
});

test('each follower goes at its own pace', async () => {
  const watchable = new Watchable(0);
  const { signal } = new AbortController();
  const fast = watchable.subscribe(LONG, signal);
  const slow = watchable.subscribe(LONG, signal);
  await slow.next();
  for (let i = 0; i < 3; i++) {
    watchable.set(i);
    expect((await fast.next()).value).toBe(i);
  }
  expect((await slow.next()).value).toBe(2);
});
