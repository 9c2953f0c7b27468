import { Placement } from '@umem/api';
import { expect, it } from 'vitest';
import type { RamPlan } from '../ram/ram-plan.js';
import { checkPlacement } from './placement-check.js';

const plan = (hostPageSizeBytes: number): RamPlan => ({
  blocks: [{ block: { blockId: 'ram0', sizeBytes: 2 ** 21, hostPageSizeBytes }, dir: '/dev/shm/umem' }],
  finding: '',
  fix: null,
});
const risky = (): string => 'its mount has huge=always: mount it with huge=never';

it('takes placement copy with transparent huge pages', () => {
  expect(checkPlacement(Placement.COPY, plan(4096), risky).passed).toBe(true);
});

it('takes placement cache where no transparent huge page can be', () => {
  expect(checkPlacement(Placement.CACHE, plan(4096), () => null).passed).toBe(true);
  expect(checkPlacement(Placement.CACHE, plan(2 ** 21), risky).passed).toBe(true);
});

it('refuses placement cache where they could back a RAM file, and says what to do', () => {
  expect(checkPlacement(Placement.CACHE, plan(4096), risky)).toMatchObject({
    passed: false,
    fix: 'Its mount has huge=always: mount it with huge=never; or use placement copy',
  });
});

it('refuses placement cache where nobody can tell', () => {
  const unknown = (): string => {
    throw new Error('no such mount');
  };
  expect(checkPlacement(Placement.CACHE, plan(4096), unknown)).toMatchObject({ passed: false });
});
