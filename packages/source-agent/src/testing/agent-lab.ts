import { readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import {
  call,
  fromServiceError,
  MigrationServiceClient,
  MigrationState,
  VmServiceClient,
  type CreateMigrationRequest,
  type LaneToken,
  type Migration,
  type MigrationOptions,
  type UpdateMigrationRequest,
  type Vm,
} from '@umem/api';
import { silentLogger, startDaemon, type StartedDaemon } from '@umem/daemon';
import { startProcessGuest, type ProcessGuest, type ProcessGuestOptions } from '@umem/vmm';
import { sourceAgentDaemon } from '../server.js';
import { ScriptedDestination } from './scripted-destination.js';

const MiB = 1 << 20;
const PEER = { peer: 'source-agent under test' };

/** A source-agent, guests that are processes, and a scripted destination. */
export class AgentLab {
  readonly #undo: (() => unknown)[] = [];
  readonly #guestDirs = new Map<string, string>();
  agent: StartedDaemon | null = null;
  destination!: ScriptedDestination;
  vms!: VmServiceClient;
  migrations!: MigrationServiceClient;

  private constructor(
    readonly dir: string,
    private readonly settings: Readonly<Record<string, unknown>>,
  ) {}

  static async start(settings: Readonly<Record<string, unknown>> = {}): Promise<AgentLab> {
    const lab = new AgentLab(await mkdtemp('/dev/shm/umem-sa-'), settings);
    lab.#undo.push(() => rm(lab.dir, { recursive: true, force: true }));
    lab.destination = await ScriptedDestination.start();
    lab.#undo.push(() => lab.destination.stop());
    await lab.startAgent();
    return lab;
  }

  get stateDir(): string {
    return join(this.dir, 'state');
  }

  async startAgent(): Promise<void> {
    const settings = {
      listen: '127.0.0.1:0',
      stateDir: this.stateDir,
      shutdownGrace: '5s',
      ...this.settings,
    };
    this.agent = await startDaemon(sourceAgentDaemon, settings, { log: silentLogger });
    this.dial(this.agent.address);
  }

  /** Talks to an agent that runs elsewhere. */
  dial(address: string): void {
    this.vms = new VmServiceClient(address, credentials.createInsecure());
    this.migrations = new MigrationServiceClient(address, credentials.createInsecure());
    const clients = [this.vms, this.migrations];
    this.#undo.push(() => clients.forEach((client) => client.close()));
  }

  async stopAgent(): Promise<void> {
    await this.agent?.stop();
    this.agent = null;
  }

  /** Undone when the lab stops, before what was there earlier. */
  defer(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  async stop(): Promise<void> {
    await this.stopAgent();
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) await undo();
  }

  /** A guest that runs, with `ram0` of 4 MiB unless told otherwise. */
  async startGuest(name = 'vm1', options: Partial<ProcessGuestOptions> = {}): Promise<ProcessGuest> {
    const dir = await mkdtemp(join(this.dir, 'guest-'));
    this.#guestDirs.set(name, dir);
    const blocks = [{ id: 'ram0', sizeBytes: 4 * MiB, path: join(dir, 'ram0') }];
    const guest = await startProcessGuest({ name, dir, blocks, ...options });
    this.defer(() => guest.kill());
    return guest;
  }

  /** A guest that runs and is registered. */
  async startVm(name = 'vm1', options: Partial<ProcessGuestOptions> = {}): Promise<ProcessGuest> {
    const guest = await this.startGuest(name, options);
    await this.register(name, guest.qmpPath);
    return guest;
  }

  /** What a guest's RAM file holds. */
  ramOf(name = 'vm1', blockId = 'ram0'): Buffer {
    return readFileSync(join(this.#guestDirs.get(name) ?? '', blockId));
  }

  /** Bytes that a guest's RAM file takes up. */
  allocatedBytes(name = 'vm1', blockId = 'ram0'): number {
    return statSync(join(this.#guestDirs.get(name) ?? '', blockId)).blocks * 512;
  }

  register(name: string, qmpPath: string): Promise<Vm> {
    return call(this.vms, this.vms.registerVm, { name, qmpPath }, PEER);
  }

  getVm(name = 'vm1'): Promise<Vm> {
    return call(this.vms, this.vms.getVm, { name }, PEER);
  }

  create(
    options: Partial<MigrationOptions> = {},
    more: Partial<CreateMigrationRequest> = {},
  ): Promise<Migration> {
    const request: CreateMigrationRequest = {
      vm: 'vm1',
      destinationAddress: this.destination.address,
      options: {
        noBackground: false,
        postcopyFlags: 0,
        maxBandwidthBytesPerSecond: 0n,
        releaseRam: false,
        sourceAfter: 0,
        timeoutSeconds: 0,
        placement: 0,
        ...options,
      },
      profile: '',
      requestId: '',
      sourceAddress: '',
      ...more,
    };
    return call(this.migrations, this.migrations.createMigration, request, PEER);
  }

  getMigration(migration = 'vm1'): Promise<Migration> {
    return call(this.migrations, this.migrations.getMigration, { migration }, PEER);
  }

  cancel(migration = 'vm1'): Promise<Migration> {
    return call(
      this.migrations,
      this.migrations.cancelMigration,
      { migration },
      { ...PEER, timeoutMs: 30_000 },
    );
  }

  finish(migration = 'vm1'): Promise<Migration> {
    return call(this.migrations, this.migrations.finishMigration, { migration }, PEER);
  }

  update(change: Omit<UpdateMigrationRequest, 'migration'>, migration = 'vm1'): Promise<Migration> {
    return call(this.migrations, this.migrations.updateMigration, { migration, ...change }, PEER);
  }

  createLaneToken(migration = 'vm1'): Promise<LaneToken> {
    return call(this.migrations, this.migrations.createLaneToken, { migration }, PEER);
  }

  /** Every update until `accepts` or the end of the stream; the last one accepted is last. */
  watch(accepts: (migration: Migration) => boolean = () => false, migration = 'vm1'): Promise<Migration[]> {
    return new Promise((resolve, reject) => {
      const seen: Migration[] = [];
      const stream = this.migrations.watchMigration({ migration, intervalMs: 50 });
      stream.on('data', (update: Migration) => {
        seen.push(update);
        if (!accepts(update)) return;
        resolve(seen);
        stream.cancel();
      });
      stream.on('end', () => resolve(seen));
      stream.on('error', (error) => reject(fromServiceError(error, PEER.peer)));
    });
  }

  /** The migration at its end. */
  async end(migration = 'vm1'): Promise<Migration> {
    const last = (await this.watch(undefined, migration)).at(-1);
    if (!last) throw new Error('The watch ended without an update');
    return last;
  }

  /** The migration once it is in a state. */
  async until(state: MigrationState, migration = 'vm1'): Promise<Migration> {
    const last = (await this.watch((update) => update.state === state, migration)).at(-1);
    if (last?.state !== state)
      throw new Error(`It ended ${MigrationState[last?.state ?? 0]}: ${last?.error}`);
    return last;
  }
}
