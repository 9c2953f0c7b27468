import { MigrationState, type Migration } from '@umem/api';
import { CommandFailure, EXIT } from '../exit-codes.js';
import type { CliIo } from '../io.js';
import { printJson } from '../output/json.js';
import { toMigrationJson } from '../output/migration-json.js';
import { formatMigration, formatSummary } from '../output/migration-text.js';
import { createPaint } from '../output/style.js';

/**
 * Prints how a migration ended, or how far it was when nobody watched any more. Throws when it
 * FAILED: exit 3 when the guest lost nothing, else 5.
 */
export function reportMigration(io: CliIo, migration: Migration, json: boolean): void {
  if (migration.state === MigrationState.FAILED) {
    const exitCode = migration.guestRecoverable ? EXIT.precondition : EXIT.guestLost;
    const what = migration.errorReason === 'CANCELLED' ? 'was cancelled' : 'failed';
    const fate = migration.guestRecoverable ? '' : ' and its guest is down';
    const why = migration.error === '' ? '' : `: ${migration.error}`;
    throw new CommandFailure(
      `Migration ${migration.migrationId} of ${migration.vm} ${what}${fate}${why}`,
      exitCode,
      toMigrationJson(migration),
    );
  }
  if (json) printJson(io.stdout, toMigrationJson(migration));
  else if (migration.state === MigrationState.COMPLETED)
    io.stdout.write(formatSummary(migration, createPaint(io.stdout, io.env)));
  else io.stdout.write(formatMigration(migration));
}
