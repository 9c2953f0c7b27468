import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  IncomingServiceService,
  IncomingState,
  LaneKind,
  Placement,
  SERVER,
  streaming,
  toServiceError,
  UmemState,
  unary,
  type ConnectIncomingRequest,
  type DeviceStateChunk,
  type Incoming,
  type IncomingServiceServer,
  type LaneTarget,
  type RamBlockMessage,
  type TransferStats,
} from '@umem/api';
import { Watchable } from '@umem/daemon';
import { NotFound } from '@umem/errors';
import type { RamBlock } from '@umem/ram';
import { LanePeer } from './lane-peer.js';

type Step = 'get' | 'preflight' | 'prepare' | 'connect' | 'load' | 'resume' | 'resumed' | 'abort';

/**
 * A destination-agent with its page server that has no VMM: it takes device state and pages and keeps
 * them. `script` may fail or delay each step; the step 'resumed' is after the guest runs.
 */
export class ScriptedDestination {
  readonly calls: Step[] = [];
  readonly script: Partial<Record<Step, () => Promise<void> | void>> = {};
  readonly aborted: Promise<string>;
  address = '';
  lanes: LanePeer[] = [];
  target: LaneTarget | null = null;
  deviceStateBytes = 0;
  confirmPlaced: boolean | null = null;
  intake: { placement: Placement; postcopyFlags: number } | null = null;
  /** Ends the pages by itself as soon as every lane has sent EOS. */
  autoFinish = true;
  #incoming = new Watchable<Incoming | null>(null);
  #server = new Server(SERVER);
  #generation = 0n;
  #blocks: readonly RamBlock[] = [];
  #onAborted: (reason: string) => void = () => {};

  private constructor() {
    this.aborted = new Promise((resolve) => (this.#onAborted = resolve));
  }

  static async start(): Promise<ScriptedDestination> {
    const destination = new ScriptedDestination();
    await destination.listen('127.0.0.1:0');
    return destination;
  }

  get incoming(): Incoming | null {
    return this.#incoming.value;
  }

  async listen(address: string): Promise<void> {
    this.#server = new Server(SERVER);
    this.#server.addService(IncomingServiceService, this.#service());
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    this.address = `127.0.0.1:${port}`;
  }

  /** The agent is gone; its page server's lanes stay. */
  unlisten(): void {
    this.#server.forceShutdown();
  }

  change(change: Partial<Incoming>): void {
    if (this.incoming) this.#incoming.set({ ...this.incoming, ...change });
  }

  /** What `umemctl incoming prepare` would have made. */
  prepareByHand(name: string, blocks: RamBlockMessage[]): void {
    this.#incoming.set(newIncoming(name, blocks));
  }

  /** The page server opens its lanes, again when it had some. */
  async connectLanes(): Promise<void> {
    const { target } = this;
    if (!target) throw new Error('ConnectIncoming has not been called');
    this.#generation++;
    const kinds = [LaneKind.DEMAND, ...target.backgroundAddresses.map(() => LaneKind.BACKGROUND)];
    const addresses = [target.demandAddress, ...target.backgroundAddresses];
    this.lanes = kinds.map((kind, i) => {
      const lane = new LanePeer(addresses[i] ?? '', target.token);
      lane.init(target.migrationId, kind, this.#blocks, { generation: this.#generation });
      return lane;
    });
    for (const lane of this.lanes) if (!(await lane.accepted)) throw new Error((await lane.ended).details);
  }

  closeLanes(): void {
    for (const lane of this.lanes) lane.close();
  }

  /** Every page is here: EOC, and COMPLETED as the agent reports it. */
  finish({ report = true } = {}): void {
    for (const lane of this.lanes) lane.eoc();
    if (report)
      this.change({ state: IncomingState.COMPLETED, umemState: UmemState.RELEASED, stats: this.stats(0) });
  }

  stats(remainingPages: number): TransferStats {
    const pages = (lanes: LanePeer[]): number => lanes.reduce((sum, lane) => sum + lane.pages.size, 0);
    return {
      totalPages: BigInt(this.#blocks.reduce((sum, block) => sum + block.sizeBytes / 4096, 0)),
      demandPages: BigInt(pages(this.lanes.slice(0, 1))),
      backgroundPages: BigInt(pages(this.lanes.slice(1))),
      remainingPages: BigInt(remainingPages),
      fillPages: 0n,
      duplicatePages: 0n,
      removedPages: 0n,
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

  page(blockId: string, pgoff: number): Buffer | undefined {
    return this.lanes.map((lane) => lane.get(blockId, pgoff)).find((page) => page !== undefined);
  }

  stop(): void {
    this.closeLanes();
    this.#server.forceShutdown();
  }

  async #step(step: Step): Promise<void> {
    this.calls.push(step);
    await this.script[step]?.();
  }

  #require(): Incoming {
    if (!this.incoming) throw new NotFound('There is no such incoming VM');
    return this.incoming;
  }

  #service(): IncomingServiceServer {
    return {
      preflight: unary(async () => {
        await this.#step('preflight');
        return { checks: [{ check: 'ram-space', passed: true, finding: 'enough', fix: '' }] };
      }),
      prepareIncoming: unary(async ({ name, blocks, placement, postcopyFlags }) => {
        this.intake = { placement, postcopyFlags };
        await this.#step('prepare');
        this.#incoming.set(newIncoming(name, blocks));
        return this.#require();
      }),
      connectIncoming: unary((request) => this.#connect(request)),
      loadDeviceState: (call, callback) => {
        const load = async (): Promise<Incoming> => {
          for await (const chunk of call) this.deviceStateBytes += (chunk as DeviceStateChunk).data.length;
          await this.#step('load');
          this.change({ state: IncomingState.LOADED });
          return this.#require();
        };
        load().then(
          (incoming) => callback(null, incoming),
          (error: unknown) => callback(toServiceError(error)),
        );
      },
      resumeIncoming: unary(async () => {
        await this.#step('resume');
        this.change({ state: IncomingState.RESUMED, umemState: UmemState.ARMED });
        if (this.autoFinish) void Promise.all(this.lanes.map(({ eos }) => eos)).then(() => this.finish());
        await this.#step('resumed');
        return this.#require();
      }),
      abortIncoming: unary(async ({ reason }) => {
        await this.#step('abort');
        this.closeLanes();
        this.#incoming.set(null);
        this.#onAborted(reason);
        return {};
      }),
      forgetIncoming: unary(() => ({})),
      getIncoming: unary(async () => {
        await this.#step('get');
        return this.#require();
      }),
      listIncomings: unary(() => ({ incomings: [] })),
      watchIncoming: streaming(
        async function* (this: ScriptedDestination, _request: unknown, signal: AbortSignal) {
          for await (const incoming of this.#incoming.subscribe(50, signal)) {
            if (!incoming) throw new NotFound('There is no such incoming VM');
            yield incoming;
            if (incoming.state === IncomingState.COMPLETED || incoming.state === IncomingState.FAILED) return;
          }
        }.bind(this),
      ),
    };
  }

  async #connect({ target, blocks, confirmPlaced }: ConnectIncomingRequest): Promise<Incoming> {
    await this.#step('connect');
    this.target = target ?? null;
    this.confirmPlaced = confirmPlaced;
    this.#blocks = blocks.map(({ blockId, sizeBytes }) => ({
      blockId,
      sizeBytes: Number(sizeBytes),
      hostPageSizeBytes: 4096,
    }));
    await this.connectLanes();
    this.change({ state: IncomingState.CONNECTED, migrationId: target?.migrationId ?? '' });
    return this.#require();
  }
}

function newIncoming(name: string, blocks: RamBlockMessage[]): Incoming {
  return {
    name,
    state: IncomingState.PREPARED,
    ram: blocks.map((block) => ({ block, path: `/dev/shm/umem/${name}/${block.blockId}` })),
    env: {},
    qmpPath: '',
    migrationId: '',
    vmmPid: 0,
    stats: undefined,
    error: '',
    guestRecoverable: false,
    umemState: UmemState.AWAITING_HANDOFF,
    resumedAtUnixUs: 0n,
    pageServerLost: false,
    placement: Placement.COPY,
  };
}
