import { EventEmitter } from 'node:events';
import {
  MigrationServiceService,
  MigrationState,
  streaming,
  unary,
  type CreateMigrationRequest,
  type Migration,
  type MigrationServiceServer,
} from '@umem/api';
import { WrongState } from '@umem/errors';
import { createMigration } from './messages.js';
import type { ScriptedService } from './scripted-peer.js';

/** A MigrationService with one migration whose course a test tells. */
export class ScriptedMigrations {
  readonly requests: CreateMigrationRequest[] = [];
  /** How often a watcher has come. */
  watchers = 0;
  cancels = 0;
  migration = createMigration();
  readonly #changed = new EventEmitter();

  /** Tells watchers. */
  set(changes: Partial<Migration>): void {
    this.migration = { ...this.migration, ...changes };
    this.#changed.emit('changed');
  }

  /** Resolves when `reached` is true; looked at whenever somebody calls. */
  async until(reached: () => boolean): Promise<void> {
    while (!reached()) await new Promise((resolve) => this.#changed.once('called', resolve));
  }

  service(overrides: Partial<MigrationServiceServer> = {}): ScriptedService {
    const handlers: Partial<MigrationServiceServer> = {
      createMigration: unary((request) => {
        this.requests.push(request);
        this.migration = {
          ...this.migration,
          vm: request.vm,
          destinationAddress: request.destinationAddress,
        };
        this.#changed.emit('called');
        return this.migration;
      }),
      getMigration: unary(() => this.migration),
      listMigrations: unary(() => ({ migrations: [this.migration], nextPageToken: '' })),
      watchMigration: streaming((_request, signal) => this.#watch(signal)),
      cancelMigration: unary(() => this.#cancel()),
      ...overrides,
    };
    return { definition: MigrationServiceService, handlers };
  }

  async *#watch(signal: AbortSignal): AsyncGenerator<Migration> {
    this.watchers++;
    this.#changed.emit('called');
    let changed = true;
    let wake: () => void = () => undefined;
    const onChange = (): void => {
      changed = true;
      wake();
    };
    this.#changed.on('changed', onChange);
    signal.addEventListener('abort', onChange);
    try {
      while (!signal.aborted) {
        if (!changed) await new Promise<void>((resolve) => (wake = resolve));
        changed = false;
        if (signal.aborted) return;
        yield this.migration;
        if (this.migration.state >= MigrationState.COMPLETED) return;
      }
    } finally {
      this.#changed.off('changed', onChange);
    }
  }

  #cancel(): Migration {
    this.cancels++;
    const { migrationId, state } = this.migration;
    if (state >= MigrationState.POSTCOPY_ACTIVE && state !== MigrationState.FAILED)
      throw new WrongState(
        `migration ${migrationId}`,
        MigrationState[state],
        ['PREPARING'],
        'the guest has moved',
      );
    this.set({
      state: MigrationState.FAILED,
      errorReason: 'CANCELLED',
      error: 'Cancelled by a client',
      guestRecoverable: true,
    });
    return this.migration;
  }
}
