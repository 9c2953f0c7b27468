import { describe, expect } from 'vitest';
import { connectionPair, relayedConnection } from '../kit/connection-pair.js';
import { eventuallyTrue } from '../kit/eventually.js';
import { test } from '../kit/lab-test.js';
import type { Lab } from '../kit/lab.js';
import { ProcessMove, type ProcessMoveOptions } from '../kit/process-move.js';
import { compareRam } from '../kit/ram-files.js';

const MIB = 2 ** 20;
const PAGE = 4096;

type Ends = Awaited<ReturnType<typeof connectionPair>>;

/** Two hosts between which lanes have these connections and no others. */
function startWith(lab: Lab, pairs: readonly Ends[], options: ProcessMoveOptions = {}): Promise<ProcessMove> {
  const fds = pairs.map((_, i) => 3 + i).join(',');
  return ProcessMove.start(lab, {
    ...options,
    flags: {
      source: {
        sourceAgent: ['--serve-fds', fds, '--background-workers', '2'],
        inherits: { sourceAgent: pairs.map(([near]) => near) },
      },
      destination: {
        pageServer: ['--lane-fds', fds],
        inherits: { pageServer: pairs.map(([, far]) => far) },
      },
    },
  });
}

describe('a migration over connections that the services were started with', () => {
  test('brings every byte, demand and background over connections of their own', async ({ lab }) => {
    const pairs = await Promise.all([connectionPair(lab), connectionPair(lab), connectionPair(lab)]);
    const move = await startWith(lab, pairs, {
      blockSizes: [48 * MIB, 8 * MIB],
      // What is not written after the move can be compared.
      workload: { writePercent: 0, constantPercent: 20 },
    });
    const after = await move.makeReady();
    const report = await move.migrate('-p', '--source-address', 'fd:3,fd:4,fd:5');

    expect(report).toMatchObject({ state: 'COMPLETED', error: null });
    expect(report.pages).toMatchObject({ total: (56 * MIB) / PAGE, remaining: 0 });
    expect(report.pages.demand).toBeGreaterThan(0);
    expect(report.pages.background).toBeGreaterThan(0);
    for (const [id, path] of move.ramPaths)
      expect(await compareRam(path, `${move.destination.ramDir}/${move.vm}/${id}`)).toBeNull();
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
    expect(move.source.sourceAgent.child.log).toContain('Lanes are served over inherited connections');
  });

  test('is detached for good when they are cut: nothing is tried, and the operator is told', async ({
    lab,
  }) => {
    const relays = await Promise.all([relayedConnection(lab), relayedConnection(lab)]);
    const move = await startWith(
      lab,
      relays.map(({ ends }) => ends),
    );
    const after = await move.makeReady();
    const flags = ['--max-bandwidth', '1MiB', '--source-address', 'fd:3,fd:4'];
    await move.startMigrate('-p', ...flags);
    await move.waitForMigration(({ state }) => state === 'POSTCOPY_ACTIVE');
    for (const { cut } of relays) cut();
    await move.waitForMigration(({ state }) => state === 'POSTCOPY_DETACHED');

    const pageServer = move.destination.pageServer.child;
    await eventuallyTrue('the page server to say so', () =>
      /fd:3 and fd:4 cannot be connected again: faults wait until/.test(pageServer.log),
    );
    expect(pageServer.log).not.toContain('RECOVERING');
    expect(after.lastTick?.mismatches ?? 0).toBe(0);
  });

  test('is refused before the guest stops when a descriptor was not given for lanes', async ({ lab }) => {
    const move = await startWith(lab, [await connectionPair(lab), await connectionPair(lab)]);
    await move.makeReady();
    const migration = await move.startMigrate('-p', '--source-address', 'fd:3,fd:0');
    expect((await migration.exited).code).not.toBe(0);
    expect(migration.log).toContain('fd:0 is not for lanes here');
    await move.guest.waitForTick();
  });
});
