import { describe, expect } from 'vitest';
import { eventually } from '../kit/eventually.js';
import { getIncoming } from '../kit/incoming.js';
import { test } from '../kit/lab-test.js';
import { holdingsOf } from '../kit/leaks.js';
import { openFiles } from '../kit/process-memory.js';
import { ProcessMove, reportOf } from '../kit/process-move.js';

const MIB = 2 ** 20;

/** Slow enough that there is time to break something while pages still come. */
const SLOW = ['--max-bandwidth', '4MiB'];

async function untilPagesFollow(move: ProcessMove): Promise<void> {
  await move.waitForMigration(
    ({ state, pages }) => state === 'POSTCOPY_ACTIVE' && pages.demand + pages.background > 0,
  );
}

describe('while pages follow', () => {
  test('cancelling is refused with the reason, and the migration goes on', async ({ lab }) => {
    const move = await ProcessMove.start(lab, { blockSizes: [16 * MIB] });
    const after = await move.makeReady();
    const child = await move.startMigrate(...SLOW);
    await untilPagesFollow(move);
    const cancelled = await move.cancel();
    expect(cancelled.exitCode).toBe(3);
    expect(await reportOf(child)).toMatchObject({ state: 'COMPLETED' });
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });

  test('a source-agent that falls silent for a while costs time and nothing else', async ({ lab }) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [32 * MIB],
      workload: { workingSetBytes: 4 * MIB },
    });
    const after = await move.makeReady();
    const child = await move.startMigrate(...SLOW);
    await untilPagesFollow(move);

    move.source.sourceAgent.child.pause();
    await eventually(
      'the destination to notice',
      async () => {
        const { umemState } = await getIncoming(move.destination, move.vm);
        return umemState === 'DETACHED' || umemState === 'RECOVERING' ? true : null;
      },
      60_000,
    );
    move.source.sourceAgent.child.unpause();

    expect(await reportOf(child)).toMatchObject({ state: 'COMPLETED' });
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });

  test('the death of the destination VMM is the end of the guest, and is said so', async ({ lab }) => {
    const move = await ProcessMove.start(lab, { blockSizes: [16 * MIB] });
    const after = await move.makeReady();
    const child = await move.startMigrate(...SLOW);
    await untilPagesFollow(move);
    await after.kill();
    expect((await child.exited).code).toBe(5);
    expect(await move.migration()).toMatchObject({ state: 'FAILED', error: { guestRecoverable: false } });
    // The source's memory is old by now: it must not run.
    await expect(move.guest.waitForTick(undefined, 1000)).rejects.toThrow();
  });
});

describe('after a migration', () => {
  test('neither host holds a socket, a userfaultfd or a mapping of it any more', async ({ lab }) => {
    const move = await ProcessMove.start(lab, { blockSizes: [16 * MIB] });
    const filesBefore = await countFiles(move);
    await move.makeReady();
    await move.migrate('-p');

    const kept = `${move.destination.ramDir}/${move.vm}/ram0`;
    await eventually('the hosts to let go', async () => {
      const [source, destination] = await Promise.all([
        holdingsOf(lab, move.source),
        holdingsOf(lab, move.destination),
      ]);
      const isClean =
        source.descriptors.length === 0 &&
        source.sockets.length === 0 &&
        destination.descriptors.length === 0 &&
        destination.ramFiles.every((path) => path === kept);
      return isClean ? true : null;
    });
    // Connections close a moment later than the RPCs on them end.
    await eventually('descriptors to be closed', async () => {
      const now = await countFiles(move);
      return now.every((count, index) => count <= (filesBefore[index] ?? 0) + 4) ? true : null;
    });
  });
});

async function countFiles({ source, destination }: ProcessMove): Promise<number[]> {
  const services = [...source.services, ...destination.services];
  return Promise.all(services.map(async ({ child }) => (await openFiles(child.pid)).length));
}
