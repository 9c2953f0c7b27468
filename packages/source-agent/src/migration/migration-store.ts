import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { StateFile, type Logger } from '@umem/daemon';
import { messageOf } from '@umem/errors';
import { events } from '../events.js';
import {
  fromStored,
  migrationRecordSchema,
  toStored,
  type MigrationRecord,
  type StoredMigration,
} from './migration-record.js';

const SUFFIX = '.json';

/** The migrations of this agent on disk, one file each. */
export class MigrationStore {
  readonly #files = new Map<string, StateFile<StoredMigration>>();

  private constructor(
    private readonly dir: string,
    private readonly log: Logger,
  ) {}

  static async open(stateDir: string, log: Logger): Promise<MigrationStore> {
    const dir = join(stateDir, 'migrations');
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return new MigrationStore(dir, log);
  }

  /** All that are there; one that cannot be read is reported and left out. */
  async readAll(): Promise<MigrationRecord[]> {
    const records: MigrationRecord[] = [];
    for (const name of await readdir(this.dir)) {
      if (!name.endsWith(SUFFIX)) continue;
      const stored = await this.#file(name.slice(0, -SUFFIX.length)).read();
      try {
        if (stored) records.push(fromStored(stored));
      } catch (error) {
        this.log.event(events.journalFailed, { file: name, error: messageOf(error) });
      }
    }
    return records;
  }

  /** On disk, with everything before it, when it resolves. */
  write(record: MigrationRecord): Promise<void> {
    return this.#file(record.message.migrationId).write(toStored(record));
  }

  async remove(migrationId: string): Promise<void> {
    await this.#file(migrationId).remove();
    this.#files.delete(migrationId);
  }

  #file(migrationId: string): StateFile<StoredMigration> {
    const known = this.#files.get(migrationId);
    if (known) return known;
    const { log } = this;
    const file = new StateFile(join(this.dir, migrationId + SUFFIX), {
      version: 1,
      schema: migrationRecordSchema,
      log,
    });
    this.#files.set(migrationId, file);
    return file;
  }
}
