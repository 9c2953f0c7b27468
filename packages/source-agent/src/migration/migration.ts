import {
  MigrationState,
  type Downtime,
  type Migration as MigrationMessage,
  type MigrationOptions,
  type TransferStats,
} from '@umem/api';
import { StateMachine, Watchable, type Logger } from '@umem/daemon';
import { messageOf, UmemError } from '@umem/errors';
import { events } from '../events.js';
import { migrationStates, type MigrationStateName } from './migration-state.js';
import type { MigrationRecord } from './migration-record.js';
import { ArrivalForecast } from './arrival-forecast.js';

/** What is known when a migration is created. */
export interface NewMigration {
  readonly migrationId: string;
  readonly vm: string;
  readonly qmpPath: string;
  readonly destinationAddress: string;
  readonly options: MigrationOptions;
  /** Empty: not used. */
  readonly requestId: string;
  /** Target pages in all blocks. */
  readonly totalPages: number;
}

/** How a migration ended badly. */
export interface Failure {
  readonly error: unknown;
  /** What it means for the guest and what to do, in sentences. */
  readonly outcome: string;
  /** True when the guest lost nothing. */
  readonly guestRecoverable: boolean;
}

/**
 * One migration as people and control planes see it, and as it is kept on disk. The runner is its one
 * writer.
 */
export class Migration {
  /** Followers are told of each change, and let go at the end. */
  readonly changes: Watchable<Migration> = new Watchable<Migration>(this);
  readonly #log: Logger;
  readonly #forecast = new ArrivalForecast();
  readonly #state: StateMachine<MigrationStateName>;
  #record: MigrationRecord;

  private constructor(record: MigrationRecord, log: Logger) {
    this.#record = record;
    const { migrationId, vm, state } = record.message;
    this.#log = log.child({ migrationId, vm });
    this.#state = new StateMachine<MigrationStateName>({
      subject: `migration ${migrationId}`,
      initial: toStateName(state),
      table: migrationStates,
      onTransition: (from, to, reason) => this.#moved(from, to, reason),
    });
    if (this.isFinished) this.changes.end();
  }

  static create(one: NewMigration, log: Logger): Migration {
    const { migrationId, vm, destinationAddress, options, qmpPath, requestId } = one;
    const message: MigrationMessage = {
      migrationId,
      vm,
      destinationAddress,
      state: MigrationState.PREPARING,
      options,
      createdAtUnixUs: nowUnixUs(),
      totalUs: 0n,
      downtime: { totalUs: 0n, stopUs: 0n, deviceStateUs: 0n, resumeUs: 0n, deviceStateBytes: 0n },
      stats: noStats(one.totalPages),
      error: '',
      errorReason: '',
      guestRecoverable: false,
      activity: 'Waiting to start',
    };
    return new Migration(
      { message, qmpPath, requestId, mayBeFrozen: false, pastPointOfNoReturn: false },
      log,
    );
  }

  /** A migration of an earlier process, finished or not. */
  static restore(record: MigrationRecord, log: Logger): Migration {
    return new Migration(record, log);
  }

  get id(): string {
    return this.#record.message.migrationId;
  }

  get vm(): string {
    return this.#record.message.vm;
  }

  get destinationAddress(): string {
    return this.#record.message.destinationAddress;
  }

  get createdAtUnixUs(): bigint {
    return this.#record.message.createdAtUnixUs;
  }

  get state(): MigrationStateName {
    return this.#state.current;
  }

  get isFinished(): boolean {
    return this.#state.isFinal;
  }

  /** To be written to disk. */
  get record(): MigrationRecord {
    return { ...this.#record, message: this.toMessage() };
  }

  toMessage(): MigrationMessage {
    const { message } = this.#record;
    if (this.isFinished) return message;
    const estimatedRemainingUs = this.#forecast.remainingUs();
    return {
      ...message,
      totalUs: nowUnixUs() - message.createdAtUnixUs,
      ...(estimatedRemainingUs === null ? {} : { estimatedRemainingUs }),
    };
  }

  /** Throws WrongState where the table does not allow it. `reason` is for the log. */
  transition(to: Exclude<MigrationStateName, 'FAILED' | 'COMPLETED'>, reason: string): void {
    this.#state.transition(to, reason);
  }

  /** Throws WrongState once the guest may run on the destination. */
  requireReversible(clause: string): void {
    this.#state.require(
      this.#record.pastPointOfNoReturn ? [] : ['PREPARING', 'FREEZING', 'SWITCHOVER'],
      clause,
    );
  }

  /** Throws WrongState when it has ended. */
  requireUnfinished(clause: string): void {
    this.#state.require(
      ['PREPARING', 'FREEZING', 'SWITCHOVER', 'POSTCOPY_ACTIVE', 'POSTCOPY_DETACHED'],
      clause,
    );
  }

  is(...states: readonly MigrationStateName[]): boolean {
    return this.#state.is(...states);
  }

  /** From now on the guest may be stopped because of this migration. */
  markFreezing(): void {
    this.#record = { ...this.#record, mayBeFrozen: true };
  }

  /** From now on the source must never run again; false takes it back, while nothing has been sent. */
  markPointOfNoReturn(passed: boolean): void {
    this.#record = { ...this.#record, pastPointOfNoReturn: passed };
  }

  get mayBeFrozen(): boolean {
    return this.#record.mayBeFrozen;
  }

  get isPastPointOfNoReturn(): boolean {
    return this.#record.pastPointOfNoReturn;
  }

  /** What it is doing now, in a few words. */
  setActivity(activity: string): void {
    if (activity === this.#record.message.activity) return;
    this.#change({ activity });
    this.#log.event(events.migrationActivity, { activity });
  }

  setDowntime(part: Partial<Downtime>): void {
    const { downtime } = this.#record.message;
    if (downtime) this.#change({ downtime: { ...downtime, ...part } });
  }

  /** The caller has chosen otherwise while it runs. */
  setOptions(change: Partial<Pick<MigrationOptions, 'noBackground' | 'maxBandwidthBytesPerSecond'>>): void {
    const { options } = this.#record.message;
    if (options) this.#change({ options: { ...options, ...change } });
  }

  /** What the destination reports; the last report stays. */
  setStats(stats: TransferStats): void {
    this.#forecast.add(Number(stats.remainingPages));
    this.#change({ stats });
  }

  get stats(): TransferStats | undefined {
    return this.#record.message.stats;
  }

  /** The guest runs on the destination and needs nothing more from here. */
  complete(reason: string): void {
    this.#finish({ activity: 'Completed' });
    this.#state.transition('COMPLETED', reason);
    this.changes.end();
  }

  fail({ error, outcome, guestRecoverable }: Failure): void {
    const known = error instanceof UmemError;
    this.#finish({
      activity: guestRecoverable ? 'Failed; the guest lost nothing' : 'Failed',
      error: `${messageOf(error)}. ${outcome}`,
      errorReason: known ? error.reason : 'INTERNAL',
      guestRecoverable,
    });
    this.#state.transition('FAILED', messageOf(error));
    this.#log.event(events.migrationFailed, { error, outcome, guestRecoverable });
    this.changes.end();
  }

  #finish(change: Partial<MigrationMessage>): void {
    const { createdAtUnixUs } = this.#record.message;
    this.#record = {
      ...this.#record,
      message: { ...this.#record.message, ...change, totalUs: nowUnixUs() - createdAtUnixUs },
    };
  }

  #change(change: Partial<MigrationMessage>): void {
    if (this.isFinished) return;
    this.#record = { ...this.#record, message: { ...this.#record.message, ...change } };
    this.changes.notify();
  }

  #moved(from: MigrationStateName, to: MigrationStateName, reason: string): void {
    this.#record = { ...this.#record, message: { ...this.#record.message, state: MigrationState[to] } };
    this.#log.event(events.migrationState, { from, to, reason });
    this.changes.notify();
  }
}

function toStateName(state: MigrationState): MigrationStateName {
  const name = MigrationState[state] as keyof typeof MigrationState;
  return name === 'UNSPECIFIED' || name === 'UNRECOGNIZED' ? 'FAILED' : name;
}

function nowUnixUs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
}

function noStats(totalPages: number): TransferStats {
  return {
    totalPages: BigInt(totalPages),
    demandPages: 0n,
    backgroundPages: 0n,
    fillPages: 0n,
    duplicatePages: 0n,
    removedPages: 0n,
    remainingPages: BigInt(totalPages),
    wireBytes: 0n,
    faults: 0n,
    faultLatency: undefined,
    blockedThreads: [],
    recoveries: 0n,
    pendingRequests: 0n,
    touchRequests: 0n,
    touchedPages: 0n,
  };
}
