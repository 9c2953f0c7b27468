import { readdir, readFile, truncate } from 'node:fs/promises';
import type { ProcessGuest, ProcessWorkload } from '@umem/vmm';
import { describe, expect } from 'vitest';
import { eventually, eventuallyTrue } from '../kit/eventually.js';
import { waitForIncoming, type IncomingReport } from '../kit/incoming.js';
import { test } from '../kit/lab-test.js';
import type { Lab } from '../kit/lab.js';
import { isAlive, isRegistered } from '../kit/process-memory.js';
import { ProcessMove } from '../kit/process-move.js';
import { QmpMonitor } from '../kit/qmp-monitor.js';
import { umemctlJson } from '../kit/umemctl.js';

const MIB = 2 ** 20;
/** Slow enough that there is time to break something while pages still come. */
const SLOW = ['--max-bandwidth', '256KiB'];
const STUBBORN = { destination: { pageServer: ['--max-refusals', '3', '--max-reconnect-delay', '100ms'] } };
const NOTICE_MS = 60_000;

/** A guest that runs on the destination with most of its pages still to come. */
async function startPostcopy(lab: Lab, workload: ProcessWorkload = {}) {
  const move = await ProcessMove.start(lab, { blockSizes: [16 * MIB], workload, flags: STUBBORN });
  const after = await move.makeReady();
  const child = await move.startMigrate(...SLOW);
  await move.waitForMigration(
    ({ state, pages }) => state === 'POSTCOPY_ACTIVE' && pages.demand + pages.background > 0,
  );
  return { move, after, child };
}

/** Whether a thread of the process waits for a page in the kernel. proc(5), wchan. */
async function waitsForPage(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`);
  const places = threads.map((thread) =>
    readFile(`/proc/${pid}/task/${thread}/wchan`, 'utf8').catch(() => ''),
  );
  return (await Promise.all(places)).some((place) => place.includes('userfault'));
}

/** The destination has given the guest up, with the number of missing pages, and has not killed it. */
async function expectGivenUp(move: ProcessMove, after: ProcessGuest): Promise<IncomingReport> {
  const incoming = await waitForIncoming(
    move.destination,
    move.vm,
    ({ state }) => state === 'FAILED',
    NOTICE_MS,
  );
  const { pages, error } = incoming;
  expect(pages.remaining).toBeGreaterThan(0);
  expect(error?.message).toMatch(new RegExp(`\\b${pages.remaining} pages\\b.*missing`));
  expect(error?.guestRecoverable).toBe(false);
  const agent = move.destination.destinationAgent.address;
  expect(await umemctlJson(['incoming', 'list', '--agent', agent])).toMatchObject({
    incomings: [{ name: move.vm, state: 'FAILED' }],
  });
  expect(await isAlive(after.pid)).toBe(true);
  return incoming;
}

/** A thread waits for a page, and reads no zeros instead. */
async function expectWaits({ pid }: ProcessGuest, { ram }: IncomingReport): Promise<void> {
  await eventuallyTrue('a thread to wait for a page', () => waitsForPage(pid));
  for (const { path } of ram) expect(await isRegistered(pid, path)).toBe(true);
}

describe('when pages are lost for good', () => {
  test('with a source-agent that comes back without them, the guest is stopped', async ({ lab }) => {
    // All it uses comes soon, so that no thread waits for a page when it is told to stop.
    const { move, after, child } = await startPostcopy(lab, { workingSetBytes: MIB / 4, tickMs: 50 });
    const { ops } = await after.waitForTick();
    await after.waitForTick((tick) => tick.ops > ops + 10_000, NOTICE_MS);
    await move.source.sourceAgent.kill();
    await move.source.sourceAgent.startAgain();

    const incoming = await expectGivenUp(move, after);
    expect(incoming.error?.message).toMatch(/The guest is stopped$/);
    const monitor = await QmpMonitor.connect(incoming.qmp);
    expect(await monitor.execute('query-status')).toMatchObject({ running: false, status: 'paused' });
    monitor.close();
    const touched = after.touchAll();
    touched.catch(() => {}); // Its end is that of the guest.
    await expectWaits(after, incoming);

    const failed = await eventually(
      'the source to know',
      async () => {
        const migration = await move.migration();
        return migration.state === 'FAILED' ? migration : null;
      },
      NOTICE_MS,
    );
    expect(failed).toMatchObject({
      state: 'FAILED',
      pages: { remaining: incoming.pages.remaining },
      error: { reason: 'AGENT_RESTARTED', guestRecoverable: false },
    });
    expect((await child.exited).code).toBe(5);
  });

  test("with the source's RAM file, a guest that cannot stop waits where it is", async ({ lab }) => {
    const { move, after, child } = await startPostcopy(lab, { threads: 8 });
    for (const path of move.ramPaths.values()) await truncate(path, 8 * MIB);

    const incoming = await expectGivenUp(move, after);
    expect(incoming.pages.remaining).toBeGreaterThan((7 * MIB) / 4096);
    await expectWaits(after, incoming);
    expect((await child.exited).code).toBe(5);
    expect(await move.migration()).toMatchObject({
      state: 'FAILED',
      error: {
        guestRecoverable: false,
        message: expect.stringContaining(`${incoming.pages.remaining} pages missing`),
      },
    });
  });
});
