import { describe, expect } from 'vitest';
import { test } from '../kit/lab-test.js';
import { waitForIncoming } from '../kit/incoming.js';
import { ProcessMove, reportOf } from '../kit/process-move.js';
import { isRegistered } from '../kit/process-memory.js';
import { compareRam } from '../kit/ram-files.js';
import { makeReadyWithProxy } from './proxied-source.js';

const MIB = 2 ** 20;
const PAGE = 4096;
/** More than a demand reply needs beside its page, in bytes. */
const REPLY_OVERHEAD = 200;

describe('a migration', () => {
  test('moves a working guest without a mismatch, and lets go of its memory', async ({ lab }) => {
    const move = await ProcessMove.start(lab);
    const after = await move.makeReady();
    const report = await move.migrate('-p');

    expect(report).toMatchObject({ state: 'COMPLETED', error: null });
    expect(report.pages).toMatchObject({ total: (64 * MIB) / PAGE, remaining: 0 });
    expect(report.pages.demand + report.pages.background).toBe(report.pages.total);
    expect(report.pages.demand).toBeGreaterThan(0);
    expect(report.pages.background).toBeGreaterThan(0);

    const before = move.guest.lastTick;
    const tick = await after.waitForTick();
    expect(tick.seq).toBeGreaterThan(before?.seq ?? 0);
    expect(tick.mismatches).toBe(0);
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
    expect(await isRegistered(after.pid, `${move.destination.ramDir}/${move.vm}/ram0`)).toBe(false);
  });

  test('brings every byte of every block, also from memfds and with blocks of different size', async ({
    lab,
  }) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [24 * MIB, 8 * MIB, 4 * MIB],
      memfds: ['ram1'],
      // What is not written after the move can be compared.
      workload: { writePercent: 0, constantPercent: 40 },
    });
    const after = await move.makeReady();
    const report = await move.migrate('-p');
    expect(report.pages).toMatchObject({ total: (36 * MIB) / PAGE, remaining: 0 });

    for (const [id, path] of move.ramPaths) {
      expect(await compareRam(path, `${move.destination.ramDir}/${move.vm}/${id}`)).toBeNull();
    }
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0, pages: (36 * MIB) / PAGE });
  });

  test('sends pages of one value as that value', async ({ lab }) => {
    const move = await ProcessMove.start(lab, { workload: { constantPercent: 100, writePercent: 0 } });
    await move.makeReady();
    const report = await move.migrate('-p');
    expect(report.pages.fill).toBe(report.pages.total);
    expect(report.bytesOnWire).toBeLessThan(4 * MIB);
  });

  test('leaves the source stopped, and never lets it run again', async ({ lab }) => {
    const move = await ProcessMove.start(lab);
    await move.makeReady();
    await move.migrate('-p');
    const stopped = move.guest.lastTick;
    await expect(move.guest.waitForTick(undefined, 1000)).rejects.toThrow();
    expect(move.guest.lastTick).toEqual(stopped);
    const again = await move.startMigrate('-p');
    expect((await again.exited).code).toBe(3);
  });

  test('with --source-after quit ends the source VMM', async ({ lab }) => {
    const move = await ProcessMove.start(lab);
    await move.makeReady();
    await move.migrate('-p', '--source-after', 'quit');
    await move.guest.exited;
  });
});

test('a destination that has loaded the device state before the source says that it was all', async ({
  lab,
}) => {
  const move = await ProcessMove.start(lab);
  const { proxy, after } = await makeReadyWithProxy(move);
  const migrate = proxy.hold('migrate');
  const child = await move.startMigrate('-p');
  await migrate.reached;
  const completed = proxy.hold('query-migrate');
  migrate.release();
  // Loading touches two pages at its end.
  await waitForIncoming(move.destination, move.vm, ({ pages }) => pages.demand >= 2);
  completed.release();
  expect(await reportOf(child)).toMatchObject({ state: 'COMPLETED' });
  expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
});

describe('without background pages', () => {
  test('only what the guest touches moves, and it ends when the guest has touched all', async ({ lab }) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [16 * MIB],
      workload: { workingSetBytes: 2 * MIB },
    });
    const after = await move.makeReady();
    const child = await move.startMigrate('--no-background');
    const workingSetPages = (2 * MIB) / PAGE;
    await move.waitForMigration(({ pages }) => pages.demand >= workingSetPages);
    // It has all it needs: now nothing more may come by itself.
    const tick = await after.waitForTick();
    const { pages } = await move.migration();
    await after.waitForTick(({ seq }) => seq > tick.seq + 2);
    expect((await move.migration()).pages).toEqual(pages);
    expect(pages.background).toBe(0);

    await after.touchAll();
    const report = await reportOf(child);
    expect(report).toMatchObject({
      state: 'COMPLETED',
      pages: { background: 0, demand: report.pages.total },
    });
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });
});

describe('a bandwidth limit', () => {
  test('slows the background down', async ({ lab }) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [24 * MIB],
      // It fills all memory, so that pages travel as bytes, and then hardly touches it.
      workload: { threads: 1, thinkUs: 50_000, constantPercent: 0 },
    });
    const after = await move.makeReady();
    const limit = 8 * MIB;
    const report = await move.migrate('--max-bandwidth', '8MiB');
    const backgroundBytes = report.bytesOnWire - report.pages.demand * (PAGE + REPLY_OVERHEAD);
    expect(backgroundBytes).toBeGreaterThan(2 * limit);
    // A tenth of a second's worth may go at once.
    expect(report.totalMs).toBeGreaterThan((backgroundBytes / limit - 0.1) * 1000);
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });

  test('never slows a fault down', async ({ lab }) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [16 * MIB],
      workload: { workingSetBytes: 2 * MIB, constantPercent: 0 },
    });
    const after = await move.makeReady();
    // The background alone would take hours.
    const child = await move.startMigrate('--max-bandwidth', '1KiB');
    await move.waitForMigration(({ state }) => state === 'POSTCOPY_ACTIVE');
    await after.touchAll();
    const { state, pages } = await reportOf(child);
    expect(state).toBe('COMPLETED');
    expect(pages.demand).toBeGreaterThan(pages.background);
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });
});
