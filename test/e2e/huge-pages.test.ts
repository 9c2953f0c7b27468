import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { HUGE_PAGE_BYTES, mountHugePages } from '../kit/huge-pages.js';
import { getIncoming } from '../kit/incoming.js';
import { test } from '../kit/lab-test.js';
import type { Machine } from '../kit/machine.js';
import { findFault, liveAlone, migrate, startQemuMove, VM } from '../kit/qemu-move.js';

const MIB = 2 ** 20;
const RAM = 192 * MIB;
const PAGES = RAM / HUGE_PAGE_BYTES;

const machine: Machine = {
  blocks: [{ id: 'ram0', sizeBytes: RAM }],
  workload: { workingSetMiB: 48, writePercent: 30 },
};

/** `rule`: of the destination, which has a hugetlbfs. */
const combinations = [
  { source: 'ordinary', destination: 'ordinary', rule: 'auto' },
  { source: 'huge', destination: 'huge', rule: 'auto' },
  { source: 'huge', destination: 'ordinary', rule: 'never' },
  { source: 'ordinary', destination: 'huge', rule: 'always' },
] as const;

describe('a running QEMU guest moves without a mismatch', () => {
  for (const { source, destination, rule } of combinations)
    test(`from ${source} pages to ${destination} pages`, async ({ lab, skip }) => {
      const huge = [source, destination].filter((pages) => pages === 'huge').length;
      const dir = await mountHugePages(lab, huge * PAGES);
      if (dir === null) return skip('Huge pages cannot be had here');
      const destinationAgent = ['--hugetlbfs-dir', join(dir, 'umem'), '--huge-pages', rule];
      const move = await startQemuMove(lab, machine, {
        ...(source === 'huge' ? { ramDir: dir } : {}),
        destination: { destinationAgent },
      });
      const report = await migrate(move, '-p');
      expect(report).toMatchObject({ state: 'COMPLETED', pages: { total: RAM / 4096, remaining: 0 } });
      const { ram } = await getIncoming(move.destination, VM);
      const parent = destination === 'huge' ? join(dir, 'umem') : move.destination.ramDir;
      expect(ram.map(({ path }) => path)).toEqual([join(parent, VM, 'ram0')]);
      expect(await findFault(move, await liveAlone(move))).toBeNull();
    });
});
