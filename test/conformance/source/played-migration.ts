import { check } from '../rule.js';
import type { LaneTargetMessage, MigrationMessage, RamBlockMessage, VmMessage } from '../wire/messages.js';
import { PAGE_BYTES } from '../wire/read-batch.js';
import type { WireClient } from '../wire/client.js';
import type { LaneKindName } from './peer.js';
import type { IncomingScript, PlayedDestination } from './played-destination.js';

export interface MigrationSettings {
  readonly client: WireClient;
  readonly destination: PlayedDestination;
  readonly sourceAddress: string;
  readonly vm: string;
  /** Of CreateMigration. */
  readonly options?: object;
}

/** A migration of which the suite is the destination: it stands still where a rule needs it to. */
export class PlayedMigration {
  readonly id: string;
  readonly vm: string;
  readonly target: LaneTargetMessage;
  readonly blocks: readonly RamBlockMessage[];
  readonly pageCounts: ReadonlyMap<string, number>;
  readonly script: IncomingScript;
  readonly #settings: MigrationSettings;

  private constructor(settings: MigrationSettings, id: string, script: IncomingScript) {
    const { order } = script;
    check(order !== null, 'ConnectIncoming came without a request');
    this.#settings = settings;
    this.id = id;
    this.vm = settings.vm;
    this.script = script;
    this.target = order.target;
    this.blocks = order.blocks;
    this.pageCounts = new Map(
      order.blocks.map((block) => [block.block_id, Number(block.size_bytes) / PAGE_BYTES]),
    );
  }

  /** Creates it; resolves when the source waits for ConnectIncoming and its guest still runs. */
  static async start(settings: MigrationSettings): Promise<PlayedMigration> {
    const script = settings.destination.begin(settings.vm);
    const { migration_id: id } = await settings.client.call<MigrationMessage>(
      'MigrationService',
      'CreateMigration',
      {
        vm: settings.vm,
        destination_address: settings.destination.address,
        options: { timeout_seconds: 600, ...settings.options },
        source_address: settings.sourceAddress,
      },
    );
    const failed = untilState(settings.client, id, ['MIGRATION_STATE_FAILED']);
    const first = await Promise.race([script.connect.arrived, failed.found]);
    failed.cancel();
    if (first !== undefined) throw new Error(`The source gave up before ConnectIncoming: ${first.error}`);
    check(
      script.order?.target.migration_id === id,
      `ConnectIncoming names migration ${script.order?.target.migration_id}, not ${id}`,
    );
    return new PlayedMigration(settings, id, script);
  }

  addressFor(kind: LaneKindName): string {
    const [background] = this.target.background_addresses;
    return kind === 'demand' ? this.target.demand_address : (background ?? this.target.demand_address);
  }

  /** Lets the source stop its guest; resolves when all device state has come: the guest is frozen. */
  async freeze(): Promise<void> {
    this.script.connect.open();
    await this.#orFailed(this.script.load.arrived);
  }

  /** Says that the guest runs here: the point of no return. Resolves when pages follow. */
  async activate(): Promise<void> {
    this.script.load.open();
    await this.#orFailed(this.script.resume.arrived);
    this.script.resume.open();
    await this.until('MIGRATION_STATE_POSTCOPY_ACTIVE', 'MIGRATION_STATE_POSTCOPY_DETACHED');
  }

  /** Gives the guest back to the source, before the point of no return. */
  cancel(): Promise<MigrationMessage> {
    return this.#settings.client.call<MigrationMessage>('MigrationService', 'CancelMigration', {
      migration: this.id,
    });
  }

  /** A token for a further page server. */
  async createToken(): Promise<string> {
    const answer = await this.#settings.client.call<{ token: string }>(
      'MigrationService',
      'CreateLaneToken',
      {
        migration: this.id,
      },
    );
    return answer.token;
  }

  get(): Promise<MigrationMessage> {
    return this.#settings.client.call<MigrationMessage>('MigrationService', 'GetMigration', {
      migration: this.id,
    });
  }

  async runState(): Promise<string> {
    return (await this.#settings.client.call<VmMessage>('VmService', 'GetVm', { name: this.vm })).run_state;
  }

  /** Resolves when it is in one of the states; rejects when it fails instead. */
  async until(...states: readonly string[]): Promise<MigrationMessage> {
    const watch = untilState(this.#settings.client, this.id, [...states, 'MIGRATION_STATE_FAILED']);
    const migration = await watch.found;
    watch.cancel();
    if (!states.includes(migration.state)) throw new Error(`The migration failed: ${migration.error}`);
    return migration;
  }

  async #orFailed(step: Promise<void>): Promise<void> {
    const failed = untilState(this.#settings.client, this.id, ['MIGRATION_STATE_FAILED']);
    const first = await Promise.race([step, failed.found]);
    failed.cancel();
    if (first !== undefined) throw new Error(`The migration failed: ${first.error}`);
  }
}

function untilState(
  client: WireClient,
  migration: string,
  states: readonly string[],
): { found: Promise<MigrationMessage>; cancel(): void } {
  const stream = client.watch<MigrationMessage>('MigrationService', 'WatchMigration', {
    migration,
    interval_ms: 100,
  });
  let isOver = false;
  const found = new Promise<MigrationMessage>((resolve, reject) => {
    stream.on('data', (update: MigrationMessage) => {
      if (states.includes(update.state)) resolve(update);
    });
    stream.on('end', () => reject(new Error(`WatchMigration ended before ${states.join(' or ')}`)));
    stream.on('error', (error) => {
      if (!isOver) reject(error);
    });
  });
  // Whoever stops waiting does not hear of what comes later.
  found.catch(() => undefined);
  return {
    found,
    cancel: () => {
      isOver = true;
      stream.cancel();
    },
  };
}
