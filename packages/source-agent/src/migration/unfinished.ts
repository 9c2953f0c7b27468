import { setTimeout as delay } from 'node:timers/promises';
import { IncomingState, type Incoming } from '@umem/api';
import { Internal, messageOf, PageLoss } from '@umem/errors';
import { events } from '../events.js';
import { RegisteredVm } from '../vm/registered-vm.js';
import { newRecord } from '../vm/vm-record.js';
import { Destination } from './destination.js';
import { releaseGuest, toUndoneOutcome } from './guest-release.js';
import type { Failure, Migration } from './migration.js';
import type { RunnerServices } from './migration-runner.js';

/** How often a destination is asked what became of a guest, and how long between. */
const ASK_TIMES = 10;
const ASK_AGAIN_MS = 1_000;

const REASON = 'AGENT_RESTARTED';

/** What is left of the source. */
interface Source {
  /** Undefined when it was unregistered. */
  readonly vm: RegisteredVm | undefined;
  readonly qmpPath: string;
}

/**
 * Brings a migration to an end that an earlier process left unfinished: before the point of no return
 * the source guest runs again; after it the source stays stopped and the destination is asked whether
 * it had everything. Pages are not served again: lanes ended with the earlier process.
 */
export async function recoverMigration(
  migration: Migration,
  source: Source,
  services: RunnerServices,
): Promise<void> {
  const destination = new Destination(migration.destinationAddress, migration.vm, migration.id);
  try {
    if (migration.isPastPointOfNoReturn) await conclude(migration, source, destination);
    else migration.fail(await undo(migration, source, destination, services));
  } finally {
    destination.close();
  }
  try {
    await services.store.write(migration.record);
    await services.registry.save();
  } catch (error) {
    services.log.event(events.journalFailed, { migrationId: migration.id, error });
  }
}

async function undo(
  migration: Migration,
  { vm, qmpPath }: Source,
  destination: Destination,
  { log }: RunnerServices,
): Promise<Failure> {
  const error = new Internal('The source-agent was restarted before the guest ran on the destination', {
    reason: REASON,
  });
  const problem = await releaseGuest(vm ?? unregistered(migration.vm, qmpPath), null, migration.mayBeFrozen);
  try {
    await destination.abort(error.message);
  } catch (cause) {
    // A destination that lost its source cleans up by itself.
    log.event(events.cleanUpFailed, {
      step: 'clean-up of the destination',
      migrationId: migration.id,
      error: cause,
    });
  }
  const outcome = toUndoneOutcome(problem);
  return { error, outcome, guestRecoverable: problem === null };
}

async function conclude(migration: Migration, { vm }: Source, destination: Destination): Promise<void> {
  vm?.markMoved(migration.destinationAddress, null, migration.id);
  migration.setActivity('The source-agent was restarted; asking the destination whether it has every page');
  const found = await ask(destination);
  if (found instanceof Error)
    return migration.fail(toLoss(migration, `it does not answer: ${messageOf(found)}`));
  if (found?.stats) migration.setStats(found.stats);
  if (found?.state !== IncomingState.COMPLETED)
    return migration.fail(
      toLoss(migration, found === null ? 'it does not know the VM' : `it is ${IncomingState[found.state]}`),
    );
  if (migration.is('SWITCHOVER'))
    migration.transition('POSTCOPY_ACTIVE', 'the destination has resumed the guest');
  migration.complete('the destination has every page');
}

/** The incoming VM once it has come to an end, or as it is when the waiting is over. */
async function ask(destination: Destination): Promise<Incoming | Error | null> {
  let found: Incoming | Error | null = null;
  for (let i = 0; i < ASK_TIMES; i++) {
    if (i > 0) await delay(ASK_AGAIN_MS);
    try {
      found = await destination.find();
      if (found === null || found.state === IncomingState.COMPLETED || found.state === IncomingState.FAILED)
        return found;
    } catch (error) {
      found = error instanceof Error ? error : new Internal(String(error));
    }
  }
  return found;
}

function toLoss(migration: Migration, destinationSays: string): Failure {
  const missing = Number(migration.stats?.remainingPages ?? 0n);
  return {
    error: new PageLoss(
      `The source-agent was restarted while the destination needed pages, about ${missing} when it last said; now ${destinationSays}`,
      '',
      0,
      missing,
      { reason: REASON },
    ),
    guestRecoverable: false,
    outcome:
      'This version does not serve pages again after a restart. The source VM is stopped and must not run again; it still has the memory of the switch',
  };
}

/** The VM of a migration whose registration is gone, so that its guest can be given back all the same. */
function unregistered(name: string, qmpPath: string): RegisteredVm {
  return new RegisteredVm(newRecord(name, qmpPath));
}
