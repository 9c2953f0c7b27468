import { status } from '@grpc/grpc-js';
import {
  DEMAND_CHANNEL,
  LaneKind,
  toBlockMessages,
  toPageListRequests,
  type Init,
  type LaneTarget,
} from '@umem/api';
import { TARGET_PAGE_SIZE } from '@umem/ram';
import type { BatchPlacer } from '../place/batch-placer.js';
import type { UmemMemory } from '../place/umem-memory.js';
import type { RequestLane } from '../request/demand-sender.js';
import type { BackgroundLane, BackgroundLaneListener } from './background-lane.js';
import { toBadBatch, type LaneLoss } from './lane-loss.js';
import { Lane, type LaneSettings } from './lane.js';
import { ReplyReceiver } from './reply-receiver.js';

/** A lane that was refused or lost; `loss` says by whom and why. */
export class LaneLost extends Error {
  constructor(readonly loss: LaneLoss) {
    super(`${loss.lane}: ${loss.message}`);
  }
}

export interface ConnectionSettings {
  readonly target: LaneTarget;
  readonly memory: UmemMemory;
  /** Counts the set's connections, from 1. */
  readonly generation: number;
  /** Milliseconds in which the source must accept every lane. */
  readonly timeoutMs: number;
  /** One for each background address. */
  readonly backgroundLanes: readonly BackgroundLane[];
  /** Places what comes over the demand lane. */
  readonly placer: BatchPlacer;
}

export interface ConnectionListener {
  /** A lane ended by itself; all others were cancelled. Called once, and only after `accepted`. */
  lost(loss: LaneLoss): void;
  /** Every lane has said EOS. Called at most once. */
  endOfStream(): void;
}

const DEMAND = 'demand lane';

/**
 * All lanes of one generation: they connect together, and when one is lost the others end too, for the
 * source takes an INIT with a higher generation as the end of all lanes before it.
 */
export class Connection {
  /** Resolves when the source has accepted every lane; rejects with LaneLost, and then no lane is left. */
  readonly accepted: Promise<void>;
  readonly #settings: ConnectionSettings;
  readonly #listener: ConnectionListener;
  readonly #demand: Lane;
  readonly #over: Promise<void>;
  #end: () => void = () => {};
  #accept: () => void = () => {};
  #refuse: (error: LaneLost) => void = () => {};
  #isOver = false;
  #isAccepted = false;
  /** Lanes that are not accepted, and lanes without EOS. */
  #unaccepted: number;
  #openStreams: number;

  constructor(settings: ConnectionSettings, listener: ConnectionListener) {
    this.#settings = settings;
    this.#listener = listener;
    this.#over = new Promise((resolve) => (this.#end = resolve));
    const { target, backgroundLanes } = settings;
    const lanes = 1 + backgroundLanes.length;
    this.#openStreams = lanes;
    this.#unaccepted = lanes;
    this.accepted = new Promise((resolve, reject) => {
      this.#accept = resolve;
      this.#refuse = reject;
    });
    const events: BackgroundLaneListener = {
      accepted: () => this.#oneAccepted(),
      lost: (loss) => this.#lost(loss),
      endOfStream: () => this.#endOfStream(),
    };
    const init = this.#init();
    const demandInit = { ...init, laneKind: LaneKind.DEMAND };
    this.#demand = new Lane(this.#lane(DEMAND, target.demandAddress, demandInit), DEMAND_CHANNEL, events);
    const backgroundInit = { ...init, laneKind: LaneKind.BACKGROUND };
    backgroundLanes.forEach((lane, i) => {
      const address = target.backgroundAddresses[i] ?? '';
      lane.open(this.#lane(`background lane ${i}`, address, backgroundInit), events);
    });
  }

  /** For what faults ask for. */
  get demandLane(): RequestLane {
    return this.#demand;
  }

  /** Lets pages flow on every lane; the workers must know the memory. */
  read(): void {
    const { memory, placer, backgroundLanes } = this.#settings;
    const receiver = new ReplyReceiver(memory, placer, 'demandPages', {
      endOfStream: () => this.#endOfStream(),
      badReply: (error) => this.#lost(toBadBatch(DEMAND, error)),
    });
    this.#demand.read((reply) => receiver.receive(reply));
    for (const lane of backgroundLanes) lane.read();
  }

  /**
   * Asks for pages that nobody waits for: at background priority where there is a background lane, as
   * demand otherwise. Resolves when the source can be asked for more, or the connection is over.
   */
  async requestMissing(blockId: string, pgoffs: readonly number[]): Promise<void> {
    const [background] = this.#settings.backgroundLanes;
    if (background) return void (await Promise.race([background.request(blockId, pgoffs), this.#over]));
    let writable = true;
    for (const request of toPageListRequests('onDemand', blockId, pgoffs))
      writable = this.#demand.write(request);
    if (!writable)
      await Promise.race([new Promise<void>((resolve) => this.#demand.onDrain(resolve)), this.#over]);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends all lanes without ado. Idempotent. */
  cancel(): void {
    this.#lost(
      { lane: DEMAND, code: status.CANCELLED, message: 'it was cancelled here', cause: 'status' },
      false,
    );
  }

  /** EOC on all lanes, then waits for the source; answers with what was not clean. */
  async finish(timeoutMs: number): Promise<string[]> {
    this.#isOver = true;
    this.#end();
    const lanes: { finish(timeoutMs: number): Promise<string | null> }[] = [
      this.#demand,
      ...this.#settings.backgroundLanes,
    ];
    const problems = await Promise.all(lanes.map((lane) => lane.finish(timeoutMs)));
    return problems.filter((problem) => problem !== null);
  }

  #oneAccepted(): void {
    if (--this.#unaccepted > 0 || this.#isOver) return;
    this.#isAccepted = true;
    this.#accept();
  }

  #lost(loss: LaneLoss, tell = true): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end();
    this.#demand.cancel();
    for (const lane of this.#settings.backgroundLanes) lane.cancel();
    if (!this.#isAccepted) this.#refuse(new LaneLost(loss));
    else if (tell) this.#listener.lost(loss);
  }

  #endOfStream(): void {
    if (--this.#openStreams === 0 && !this.#isOver) this.#listener.endOfStream();
  }

  #init(): Omit<Init, 'laneKind'> {
    const { target, memory, generation } = this.#settings;
    const received = [...memory.blocks.values()].map(({ blockId, received: pages }) => ({
      blockId,
      bits: pages.toBytes(),
    }));
    return {
      migrationId: target.migrationId,
      targetPageSizeBytes: TARGET_PAGE_SIZE,
      blocks: toBlockMessages(memory.shared.blocks),
      // What has arrived so far: nothing, the first time.
      received: memory.remainingPages() === memory.totalPages ? [] : received,
      generation: BigInt(generation),
    };
  }

  #lane(lane: string, address: string, init: Init): LaneSettings {
    const { target, timeoutMs } = this.#settings;
    return { lane, address, token: target.token, init, timeoutMs };
  }
}
