import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { LaneKind } from '@umem/api';
import { formatAddress, LaneServerService, SERVER } from '@umem/api';
import { silentLogger } from '@umem/daemon';
import { Cancelled } from '@umem/errors';
import { SourceSessions } from '../serve/source-sessions.js';
import type { SourceSession } from '../serve/source-session.js';
import { GuestRam } from './guest-ram.js';
import { LanePeer } from './lane-peer.js';

export interface LabSettings {
  readonly ram?: GuestRam;
  readonly bytesPerSecond?: number;
  readonly releasesRam?: boolean;
  readonly maxLanes?: number;
  readonly followsFaults?: boolean;
  readonly workers?: number;
}

/** A source-agent's page service with one migration, on a real server, without a VMM. */
export class SessionLab {
  readonly migrationId = 'mig-lab';
  readonly laneCounts: number[] = [];
  readonly #peers: LanePeer[] = [];
  #onEoc: () => void = () => {};
  readonly eoc = new Promise<void>((resolve) => (this.#onEoc = resolve));

  private constructor(
    readonly ram: GuestRam,
    readonly sessions: SourceSessions,
    private readonly server: Server,
    readonly address: string,
  ) {}

  session!: SourceSession;
  token = '';

  static async start({
    ram = new GuestRam({ ram0: 1000 }),
    bytesPerSecond = 0,
    releasesRam = false,
    maxLanes = 8,
    followsFaults = true,
    workers = 1,
  }: LabSettings = {}): Promise<SessionLab> {
    const workerListen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
    const sessions = await SourceSessions.start({
      ...{ maxLanes, followsFaults, workers, workerListen },
      log: silentLogger,
    });
    const server = new Server(SERVER);
    server.addService(LaneServerService, sessions.laneServer);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const lab = new SessionLab(ram, sessions, server, `127.0.0.1:${port}`);
    const listener = { onLanes: (open: number) => void lab.laneCounts.push(open), onEoc: () => lab.#onEoc() };
    lab.session = await sessions.open({
      migrationId: lab.migrationId,
      blocks: ram.blocks,
      bytesPerSecond,
      releasesRam,
      listener,
    });
    lab.token = await lab.session.createToken();
    return lab;
  }

  /** Address of a background worker. */
  worker(index = 0): string {
    const address = this.sessions.workerAddresses[index];
    if (!address) throw new Error(`There is no worker ${index}`);
    return formatAddress(address);
  }

  /** A lane that has sent nothing. */
  dial(address = this.address, token: string | null = this.token): LanePeer {
    const peer = new LanePeer(address, token);
    this.#peers.push(peer);
    return peer;
  }

  /** A lane that was accepted. */
  async open(
    kind: LaneKind,
    { address = this.address, generation = 1n, token = this.token } = {},
  ): Promise<LanePeer> {
    const peer = this.dial(address, token);
    peer.init(this.migrationId, kind, this.ram.blocks, { generation });
    if (!(await peer.accepted)) throw new Error(`The lane was refused: ${(await peer.ended).details}`);
    return peer;
  }

  async stop(): Promise<void> {
    await this.sessions.stop(new Cancelled('The test is over'));
    for (const peer of this.#peers) peer.close();
    this.server.forceShutdown();
    this.ram.close();
  }
}
