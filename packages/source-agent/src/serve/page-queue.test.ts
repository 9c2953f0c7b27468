import { expect, test } from 'vitest';
import type { SourceBlock } from '../ram/source-ram.js';
import { GuestRam } from '../testing/guest-ram.js';
import { SourceRam } from '../ram/source-ram.js';
import { PageQueue } from './page-queue.js';

const ram = new GuestRam({ ram0: 1, ram1: 1 });
const [ram0, ram1] = SourceRam.open(ram.blocks).blocks as [SourceBlock, SourceBlock];

test('gives pages out in order, of one block at a time and never more than asked', () => {
  const queue = new PageQueue();
  queue.add({ block: ram0, pgoffs: [5, 4, 3] });
  queue.add({ block: ram1, pgoffs: [9] });
  expect(queue.length).toBe(4);
  expect(queue.take(2)).toEqual({ block: ram0, pgoffs: [5, 4] });
  expect(queue.take(2)).toEqual({ block: ram0, pgoffs: [3] });
  expect(queue.take(2)).toEqual({ block: ram1, pgoffs: [9] });
  expect(queue.take(2)).toBeNull();
  expect(queue.length).toBe(0);
});
