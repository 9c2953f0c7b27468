import { MigrationServiceService, type Migration as MigrationMessage } from '@umem/api';
import { z } from 'zod';

/** What is kept on disk of a migration: the resource itself and what is needed to undo it. */
export const migrationRecordSchema = z.strictObject({
  /** The `umem.v1.Migration`, in its wire form as base64. */
  message: z.base64(),
  /** Beside `message` for people who look into the file. */
  migrationId: z.string(),
  vm: z.string(),
  qmpPath: z.string(),
  requestId: z.string(),
  /** The guest may have been stopped by this migration. */
  mayBeFrozen: z.boolean(),
  /** The destination may have been told to resume: the source must never run again. */
  pastPointOfNoReturn: z.boolean(),
});

export type StoredMigration = z.infer<typeof migrationRecordSchema>;

/** The same in memory. */
export interface MigrationRecord {
  readonly message: MigrationMessage;
  readonly qmpPath: string;
  readonly requestId: string;
  readonly mayBeFrozen: boolean;
  readonly pastPointOfNoReturn: boolean;
}

// The generated codec of `Migration`, as the service uses it for its answers.
const codec = MigrationServiceService.getMigration;

export function toStored(record: MigrationRecord): StoredMigration {
  const { message, ...rest } = record;
  const { migrationId, vm } = message;
  return { message: codec.responseSerialize(message).toString('base64'), migrationId, vm, ...rest };
}

export function fromStored(stored: StoredMigration): MigrationRecord {
  const { message, qmpPath, requestId, mayBeFrozen, pastPointOfNoReturn } = stored;
  const decoded = codec.responseDeserialize(Buffer.from(message, 'base64'));
  return { message: decoded, qmpPath, requestId, mayBeFrozen, pastPointOfNoReturn };
}
