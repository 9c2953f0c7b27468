import { expect, test } from 'vitest';
import { FaultTable } from './fault-table.js';

test('all threads that wait for a page are measured when it is there, and only they', () => {
  const table = new FaultTable();
  table.add('ram0', 5, 11, 1_000);
  table.add('ram0', 5, 12, 1_400);
  table.add('ram0', 9, 11, 1_000);
  table.answer('ram0', { pgoff: 0, pageCount: 8 }, 2_000);
  table.answer('ram0', { pgoff: 0, pageCount: 8 }, 9_000);
  expect(table.faults).toBe(3);
  expect([...table.waitedFor()]).toEqual([{ blockId: 'ram0', pgoff: 9 }]);
  expect(table.latency.toMessage()).toMatchObject({ count: 2n, sumUs: 1_600n, maxUs: 1_000n });
  expect(table.blocked.toMessages()).toEqual([
    { threadId: 11, faults: 1n, blockedUs: 1_000n },
    { threadId: 12, faults: 1n, blockedUs: 600n },
  ]);
});

test('of many threads the 64 that waited longest are shown, longest first', () => {
  const table = new FaultTable();
  for (let thread = 1; thread <= 5_000; thread++) {
    table.add('ram0', thread, thread, 0);
    table.answer('ram0', { pgoff: thread, pageCount: 1 }, thread);
  }
  const shown = table.blocked.toMessages();
  expect(shown).toHaveLength(64);
  expect(shown[0]).toEqual({ threadId: 5_000, faults: 1n, blockedUs: 5_000n });
});
