import { PageBitmap } from '@umem/ram';
import { expect, test } from 'vitest';
import { SentPages } from './sent-pages.js';

test('each page is claimed once, on whatever thread', () => {
  const here = new SentPages([100, 10]);
  const there = new SentPages([100, 10], here.share);
  expect(here.unsent).toBe(110);
  expect(here.claim(0, { pgoff: 10, pageCount: 10 })).toEqual([{ pgoff: 10, pageCount: 10 }]);
  expect(there.claim(0, { pgoff: 5, pageCount: 20 })).toEqual([
    { pgoff: 5, pageCount: 5 },
    { pgoff: 20, pageCount: 5 },
  ]);
  expect(here.unsent).toBe(90);
  expect(there.nextUnsent(0, 0, 100, 64)).toEqual({ pgoff: 0, pageCount: 5 });
  expect(here.nextUnsent(1, 0, 10, 64)).toEqual({ pgoff: 0, pageCount: 10 });
});

test('removed pages count as sent, once, and stay removed over a new connection', () => {
  const pages = new SentPages([64]);
  pages.claim(0, { pgoff: 0, pageCount: 2 });
  pages.remove(0, 1);
  pages.remove(0, 5);
  pages.remove(0, 5);
  expect(pages.unsent).toBe(61);
  pages.restart([null]);
  expect(pages.isRemoved(0, 5)).toBe(true);
  expect(pages.isRemoved(0, 6)).toBe(false);
  expect(pages.unsent).toBe(62);
});

test('a new connection begins with what was received', () => {
  const pages = new SentPages([77, 33]);
  pages.claim(0, { pgoff: 0, pageCount: 77 });
  const received = new PageBitmap(33);
  received.addRange({ pgoff: 30, pageCount: 3 });
  pages.restart([null, received.toBytes()]);
  expect(pages.unsent).toBe(77 + 30);
  expect(pages.nextUnsent(0, 0, 77, 100)).toEqual({ pgoff: 0, pageCount: 77 });
  expect(pages.nextUnsent(1, 0, 33, 100)).toEqual({ pgoff: 0, pageCount: 30 });
});
