import { MigrationState, type Migration, type MigrationServiceClient } from '@umem/api';
import type { Peer } from '../client/connect.js';
import { isFinished, watchMigration } from '../client/watch-migration.js';
import { isInteractive, type CliIo } from '../io.js';
import type { Progress } from '../output/progress.js';
import { Interruption } from './interruption.js';

export interface FollowSettings {
  readonly io: CliIo;
  readonly peer: Peer<MigrationServiceClient>;
  /** What is known of the migration so far. */
  readonly migration: Migration;
  readonly progress: Progress;
  /** Milliseconds without contact until it gives up. */
  readonly giveUpAfterMs: number;
  /** What Ctrl-C does before the point of no return: ask or cancel, or just stop watching. */
  readonly onInterrupt: 'decide' | 'detach';
  /** Called for each update, after `progress`. */
  readonly onUpdate?: (migration: Migration) => void;
}

/** How following ended: with the migration's end, or before it, because somebody had seen enough. */
export interface Followed {
  readonly migration: Migration;
  readonly detached: boolean;
}

/** True before the guest may run on the destination: until then a migration can be cancelled. */
export function isBeforeNoReturn(state: MigrationState): boolean {
  return state < MigrationState.POSTCOPY_ACTIVE;
}

/** Shows a migration until its end, or until Ctrl-C decides otherwise. */
export async function followMigration(settings: FollowSettings): Promise<Followed> {
  const { io, peer, progress } = settings;
  const stop = new AbortController();
  let latest = settings.migration;
  const interruption = new Interruption({
    io,
    peer,
    progress,
    interactive: settings.onInterrupt === 'decide' && isInteractive(io),
    latest: () => latest,
    mayCancel: () => settings.onInterrupt === 'decide' && isBeforeNoReturn(latest.state),
  });
  const watch = async (): Promise<Followed> => {
    const events = watchMigration(peer, {
      migrationId: latest.migrationId,
      intervalMs: io.stderr.isTTY === true ? 200 : 1_000,
      giveUpAfterMs: settings.giveUpAfterMs,
      signal: stop.signal,
    });
    for await (const event of events) {
      if (event.kind === 'update') {
        latest = event.migration;
        progress.update(latest);
        settings.onUpdate?.(latest);
        if (!isBeforeNoReturn(latest.state)) interruption.tooLate();
      } else if (event.kind === 'lost') {
        progress.note(
          `Lost contact with ${peer.name} (${event.reason}). The migration does not need umemctl; trying again.`,
        );
      } else {
        progress.note(`In contact with ${peer.name} again.`);
      }
    }
    return { migration: latest, detached: !isFinished(latest.state) };
  };
  const watching = watch();
  try {
    return await Promise.race([watching, interruption.result]);
  } finally {
    interruption.close();
    progress.stop();
    stop.abort();
    // Its failure is either what is being thrown already or no longer of interest.
    await watching.catch(() => undefined);
  }
}
