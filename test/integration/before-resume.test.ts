import { describe, expect } from 'vitest';
import { eventuallyTrue } from '../kit/eventually.js';
import { getIncoming, waitForIncoming } from '../kit/incoming.js';
import { test } from '../kit/lab-test.js';
import { holdingsOf } from '../kit/leaks.js';
import { ProcessMove } from '../kit/process-move.js';
import type { HeldCommand } from '../kit/qmp-proxy.js';
import type { Service } from '../kit/service.js';
import { makeReadyWithProxy } from './proxied-source.js';

/** How long a guest may take to notice that nothing holds it any more. */
const RUNS_AGAIN_MS = 30_000;

/** How long a destination waits for a source that fell silent. */
const SHORT_GRACE = { destinationAgent: ['--source-loss-grace', '1s'] };

const FROZEN_MOMENTS = [
  { moment: 'FREEZING', command: 'stop' },
  { moment: 'SWITCHOVER', command: 'migrate' },
] as const;

/** The moment of a migration at which a QMP command of the source agent is held back. */
const MOMENTS = [{ moment: 'PREPARING', command: 'migrate-set-capabilities' }, ...FROZEN_MOMENTS] as const;

const VICTIMS: readonly { readonly victim: string; readonly find: (move: ProcessMove) => Service }[] = [
  { victim: "the destination's page-server", find: ({ destination }) => destination.pageServer },
  { victim: 'the destination-agent', find: ({ destination }) => destination.destinationAgent },
];

async function expectSourceRuns(move: ProcessMove): Promise<void> {
  const tick = await move.guest.waitForTick(undefined, RUNS_AGAIN_MS);
  await move.guest.waitForTick(({ ops }) => ops > tick.ops, RUNS_AGAIN_MS);
  expect(await move.guest.verifyAll()).toMatchObject({ mismatches: 0 });
}

async function expectDestinationClean(move: ProcessMove): Promise<void> {
  await eventuallyTrue(
    'the destination to have no RAM file',
    async () => (await holdingsOf(move.lab, move.destination)).ramFiles.length === 0,
    30_000,
  );
  const { sockets, descriptors } = await holdingsOf(move.lab, move.destination);
  expect(sockets).toEqual([]);
  expect(descriptors).toEqual([]);
}

/** Cancels a migration that is held at a command, and lets go of that when the agent knows of it. */
async function cancelHeld(move: ProcessMove, held: HeldCommand): Promise<number | null> {
  const cancelled = move.cancel();
  await move.waitForMigration(({ activity }) => /^(Ending|Undoing): /.test(activity));
  held.release();
  return (await cancelled).exitCode;
}

/** A migration whose source agent waits for the answer to `command`. */
async function holdAt(move: ProcessMove, command: string) {
  const { proxy, after } = await makeReadyWithProxy(move);
  const held = proxy.hold(command);
  const child = await move.startMigrate('-p');
  await held.reached;
  return { after, held, child };
}

describe('cancelled', () => {
  test('while the destination waits for its VMM, the source guest runs on and nothing is left', async ({
    lab,
  }) => {
    const move = await ProcessMove.start(lab);
    await move.register();
    await move.prepare();
    const child = await move.startMigrate('-p');
    await waitForIncoming(move.destination, move.vm, ({ migrationId }) => migrationId !== null);

    expect((await move.cancel()).exitCode).toBe(0);
    expect((await child.exited).code).toBe(3);
    expect(await move.migration()).toMatchObject({
      state: 'FAILED',
      error: { reason: 'CANCELLED', guestRecoverable: true },
    });
    await expectSourceRuns(move);
    await expectDestinationClean(move);
    await expect(getIncoming(move.destination, move.vm)).rejects.toThrow();
  });

  test('and tried again, the migration succeeds', async ({ lab }) => {
    const move = await ProcessMove.start(lab);
    await move.register();
    await move.prepare();
    const child = await move.startMigrate('-p');
    await waitForIncoming(move.destination, move.vm, ({ migrationId }) => migrationId !== null);
    await move.cancel();
    await child.exited;

    const after = await move.startIncoming(await move.prepare());
    expect(await move.migrate('-p')).toMatchObject({ state: 'COMPLETED' });
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });

  test('before the destination knows of it, what was prepared there is left for another try', async ({
    lab,
  }) => {
    const move = await ProcessMove.start(lab);
    const { after, held, child } = await holdAt(move, 'migrate-set-capabilities');
    expect(await cancelHeld(move, held)).toBe(0);
    expect((await child.exited).code).toBe(3);
    await expectSourceRuns(move);

    expect(await move.migrate('-p')).toMatchObject({ state: 'COMPLETED' });
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });

  test.for(FROZEN_MOMENTS)('in $moment, the source guest runs on', async ({ command }, { lab }) => {
    const move = await ProcessMove.start(lab);
    const { after, held, child } = await holdAt(move, command);
    expect(await cancelHeld(move, held)).toBe(0);
    expect((await child.exited).code).toBe(3);
    await expectSourceRuns(move);
    await after.exited;
    await expectDestinationClean(move);
  });
});

describe('killed before the guest runs on the destination:', () => {
  for (const { victim, find } of VICTIMS) {
    test.for(MOMENTS)(`${victim} in $moment; the source guest runs on`, async ({ command }, { lab }) => {
      const move = await ProcessMove.start(lab);
      const { held, child } = await holdAt(move, command);
      await find(move).kill();
      held.release();

      expect((await child.exited).code).not.toBe(0);
      expect(await move.migration()).toMatchObject({ state: 'FAILED', error: { guestRecoverable: true } });
      await expectSourceRuns(move);
    });
  }

  test.for(MOMENTS)(
    'the destination VMM in $moment; the source guest runs on',
    async ({ command }, { lab }) => {
      const move = await ProcessMove.start(lab);
      const { after, held, child } = await holdAt(move, command);
      await after.kill();
      held.release();
      expect((await child.exited).code).not.toBe(0);
      expect(await move.migration()).toMatchObject({ state: 'FAILED', error: { guestRecoverable: true } });
      await expectSourceRuns(move);
      await expectDestinationClean(move);
    },
  );

  test('the source-agent before it has stopped the guest; it runs on and the destination cleans up', async ({
    lab,
  }) => {
    const move = await ProcessMove.start(lab, { flags: { destination: SHORT_GRACE } });
    const { after } = await holdAt(move, 'stop');
    await move.source.sourceAgent.kill();
    await expectSourceRuns(move);
    await after.exited;
    await expectDestinationClean(move);
  });

  test('the source-agent after it has stopped the guest; after its restart the guest runs on', async ({
    lab,
  }) => {
    const move = await ProcessMove.start(lab, { flags: { destination: SHORT_GRACE } });
    const { held } = await holdAt(move, 'migrate');
    await move.source.sourceAgent.kill();
    held.release();
    await move.source.sourceAgent.startAgain();
    await expectSourceRuns(move);
    expect(await move.migration()).toMatchObject({ state: 'FAILED', error: { guestRecoverable: true } });
    await expectDestinationClean(move);
  });
});
