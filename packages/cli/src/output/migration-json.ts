import { MigrationState, type Migration } from '@umem/api';
import { toMigrationStateName } from './enum-names.js';
import { toMs } from './json.js';
import { toDowntimeJson, toStatsJson } from './stats-json.js';

/** A migration as `--json` shows it: docs/cli.md has the keys. */
export function toMigrationJson(migration: Migration): object {
  const { estimatedRemainingUs } = migration;
  return {
    migrationId: migration.migrationId,
    vm: migration.vm,
    state: toMigrationStateName(migration.state),
    activity: migration.activity,
    destination: migration.destinationAddress,
    ...toDowntimeJson(migration.downtime),
    totalMs: toMs(migration.totalUs),
    ...toStatsJson(migration.stats),
    etaMs: estimatedRemainingUs === undefined ? null : toMs(estimatedRemainingUs),
    error:
      migration.state === MigrationState.FAILED
        ? {
            reason: migration.errorReason,
            message: migration.error,
            guestRecoverable: migration.guestRecoverable,
          }
        : null,
  };
}
