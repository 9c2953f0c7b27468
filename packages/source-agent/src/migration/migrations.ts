import { randomBytes } from 'node:crypto';
import type { CreateMigrationRequest, LaneToken, UpdateMigrationRequest } from '@umem/api';
import type { Logger } from '@umem/daemon';
import { Cancelled, HostPrecondition, Internal, NotFound, Overloaded } from '@umem/errors';
import { totalPages } from '@umem/ram';
import { events } from '../events.js';
import { checkBandwidth, checkCreate } from './create-check.js';
import { isOlder } from './migration-list.js';
import { Migration } from './migration.js';
import { MigrationRunner, type RunnerServices } from './migration-runner.js';
import { toOutcome } from './postcopy-follower.js';
import { chooseAddresses, type OwnAddresses } from './source-address.js';
import { recoverMigration } from './unfinished.js';

export interface MigrationsSettings extends RunnerServices {
  /** Unfinished ones at a time. */
  readonly maxMigrations: number;
  /** Finished ones that are remembered. */
  readonly keepFinished: number;
  /** Known once the agent listens. */
  readonly addresses: () => OwnAddresses;
}

/** A migration that goes on in this process. */
interface Running {
  readonly runner: MigrationRunner | null;
  readonly ended: Promise<void>;
}

/** All migrations of this agent: those that go on, and the last ones that have ended. */
export class Migrations {
  readonly #settings: MigrationsSettings;
  readonly #log: Logger;
  readonly #byId = new Map<string, Migration>();
  readonly #running = new Map<string, Running>();
  #stopping = false;

  private constructor(settings: MigrationsSettings) {
    this.#settings = settings;
    this.#log = settings.log;
  }

  /** Reads what an earlier process left and begins to bring to an end what that did not. */
  static async open(settings: MigrationsSettings): Promise<Migrations> {
    const migrations = new Migrations(settings);
    for (const record of await settings.store.readAll()) {
      const migration = Migration.restore(record, settings.log);
      migrations.#byId.set(migration.id, migration);
      if (!migration.isFinished) migrations.#recover(migration, record.qmpPath);
    }
    return migrations;
  }

  /** Newest first. */
  list(): Migration[] {
    return [...this.#byId.values()].sort((a, b) => (isOlder(a, b) ? 1 : -1));
  }

  /** By id, or the newest of a VM. Throws NotFound. */
  get(idOrVm: string): Migration {
    const migration = this.#byId.get(idOrVm) ?? this.list().find(({ vm }) => vm === idOrVm);
    if (!migration)
      throw new NotFound(
        `There is no migration "${idOrVm}" here, by id or by VM: see umemctl migration list`,
      );
    return migration;
  }

  /**
   * Starts a migration; resolves when it is on disk. Rejects with NotFound, WrongState (the VM
   * migrates or has moved), InvalidArgument, Unimplemented, Overloaded or HostPrecondition.
   */
  async create(request: CreateMigrationRequest): Promise<Migration> {
    const known = this.#findRequest(request.requestId);
    if (known) return known;
    const options = checkCreate(request);
    const vm = this.#settings.registry.get(request.vm);
    vm.requireMovable();
    this.#checkRoom();
    const addresses = chooseAddresses(request.sourceAddress, this.#settings.addresses());
    // Up to here nothing was awaited: of two requests at once, one finds the other's migration.
    const { destinationAddress, requestId, profile } = request;
    const { name, qmpPath } = vm;
    const pages = totalPages(vm.record.blocks);
    const migrationId = `mig-${randomBytes(6).toString('hex')}`;
    const migration = Migration.create(
      { migrationId, vm: name, qmpPath, destinationAddress, options, requestId, totalPages: pages },
      this.#log,
    );
    vm.beginMigration(migrationId);
    this.#byId.set(migrationId, migration);
    try {
      await this.#settings.store.write(migration.record);
    } catch (error) {
      this.#byId.delete(migrationId);
      vm.endMigration();
      throw error;
    }
    const order = { vm, profile: profile === '' ? name : profile, addresses };
    const runner = new MigrationRunner(migration, this.#settings, order);
    this.#follow(migration, runner, runner.run());
    return migration;
  }

  /** Resolves when the source guest runs again. Rejects with WrongState past the point of no return. */
  async cancel(idOrVm: string): Promise<Migration> {
    const migration = this.get(idOrVm);
    if (migration.is('FAILED')) return migration;
    migration.requireReversible('its guest runs on the destination, so it cannot be cancelled any more');
    const running = this.#running.get(migration.id);
    running?.runner?.abort(new Cancelled('The migration was cancelled', { reason: 'CANCELLED' }));
    await running?.ended;
    // The point of no return may have been passed just before the cancellation was seen.
    if (!migration.is('FAILED'))
      migration.requireReversible('its guest runs on the destination, so it cannot be cancelled any more');
    return migration;
  }

  /** Turns background on, now or as soon as pages may flow. Rejects with WrongState. */
  async finish(idOrVm: string): Promise<Migration> {
    const migration = this.get(idOrVm);
    migration.requireUnfinished('there is nothing to finish any more');
    if (!migration.toMessage().options?.noBackground) return migration;
    this.#requireRunner(migration).finish();
    await this.#settings.store.write(migration.record);
    return migration;
  }

  /** Rejects with WrongState or InvalidArgument. */
  async update(request: UpdateMigrationRequest): Promise<Migration> {
    const { maxBandwidthBytesPerSecond } = request;
    if (maxBandwidthBytesPerSecond !== undefined)
      checkBandwidth('max_bandwidth_bytes_per_second', maxBandwidthBytesPerSecond);
    const migration = this.get(request.migration);
    migration.requireUnfinished('nothing of it can be changed any more');
    if (maxBandwidthBytesPerSecond === undefined) return migration;
    this.#requireRunner(migration).setRate(maxBandwidthBytesPerSecond);
    await this.#settings.store.write(migration.record);
    return migration;
  }

  /** Rejects with WrongState, HostPrecondition (not yet) or Overloaded. */
  async createLaneToken(idOrVm: string): Promise<LaneToken> {
    const migration = this.get(idOrVm);
    migration.requireUnfinished('it serves no lanes any more');
    const token = await this.#requireRunner(migration).createLaneToken();
    return { migrationId: migration.id, token };
  }

  /** Undoes what can be undone and waits for the rest: guests on destinations still need their pages. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const reason = new Cancelled('The source-agent is stopping', { reason: 'AGENT_STOPPING' });
    for (const { runner } of this.#running.values()) runner?.abort(reason);
    const waiting = this.list().filter(
      (migration) => migration.isPastPointOfNoReturn && !migration.isFinished,
    );
    for (const { id, vm, stats } of waiting)
      this.#log.event(events.waitingForGuests, { migrationId: id, vm, missingPages: stats?.remainingPages });
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Throws HostPrecondition. */
  #requireRunner({ id }: Migration): MigrationRunner {
    const runner = this.#running.get(id)?.runner;
    if (runner) return runner;
    throw new HostPrecondition(`Migration ${id} is being brought to an end and serves no lanes`);
  }

  #findRequest(requestId: string): Migration | undefined {
    if (requestId === '') return undefined;
    return this.list().find(({ record }) => record.requestId === requestId);
  }

  #checkRoom(): void {
    if (this.#stopping) throw new Cancelled('The source-agent is stopping: it starts no migration');
    const unfinished = this.list().filter(({ isFinished }) => !isFinished).length;
    if (unfinished >= this.#settings.maxMigrations)
      throw new Overloaded(
        `${unfinished} migrations go on and --max-migrations allows ${this.#settings.maxMigrations}: wait for one to end`,
      );
  }

  #follow(migration: Migration, runner: MigrationRunner | null, run: Promise<void>): void {
    const ended = run
      .catch((error: unknown) => this.#broken(migration, error))
      .then(() => this.#prune())
      .finally(() => this.#running.delete(migration.id));
    this.#running.set(migration.id, { runner, ended });
  }

  /** A bug ended the run: what became of the guest must be looked at. */
  #broken(migration: Migration, cause: unknown): void {
    if (migration.isFinished) return;
    const error = new Internal('The migration broke off because of an internal error', { cause });
    migration.fail({ error, guestRecoverable: false, outcome: toOutcome(false) });
    this.#settings.registry.find(migration.vm)?.endMigration();
  }

  #recover(migration: Migration, qmpPath: string): void {
    const { registry } = this.#settings;
    this.#log.event(events.unfinishedFound, {
      migrationId: migration.id,
      vm: migration.vm,
      state: migration.state,
    });
    const vm = registry.find(migration.vm);
    vm?.continueMigration(migration.id);
    const run = recoverMigration(migration, { vm, qmpPath }, this.#settings);
    this.#follow(
      migration,
      null,
      run.finally(() => vm?.endMigration()),
    );
  }

  /** Forgets the oldest of those that have ended. */
  async #prune(): Promise<void> {
    const finished = this.list().filter(({ isFinished }) => isFinished);
    for (const { id } of finished.slice(this.#settings.keepFinished)) {
      this.#byId.delete(id);
      try {
        await this.#settings.store.remove(id);
      } catch (error) {
        this.#log.event(events.journalFailed, { migrationId: id, error });
      }
    }
  }
}
