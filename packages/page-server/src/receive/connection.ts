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
import { laneDescriptors } from './lane-descriptors.js';
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
  /** Background lanes confirm what they have placed. */
  readonly confirmPlaced: boolean;
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
  #isDemandAccepted = false;
  /** What became of a background lane before the source had answered on the demand lane. */
  #earlyLoss: LaneLoss | null = null;
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
      lost: (loss) => this.#backgroundLost(loss),
      endOfStream: () => this.#endOfStream(),
    };
    const init = this.#init();
    // All before the first one connects: an address that is refused opens no lane.
    const demand = this.#lane(DEMAND, target.demandAddress, { ...init, laneKind: LaneKind.DEMAND });
    const backgroundInit = { ...init, laneKind: LaneKind.BACKGROUND };
    const background = backgroundLanes.map((_, i) =>
      this.#lane(`background lane ${i}`, target.backgroundAddresses[i] ?? '', backgroundInit),
    );
    this.#demand = new Lane(demand, DEMAND_CHANNEL, {
      accepted: () => this.#demandAccepted(),
      lost: (loss) => this.#lost(loss),
    });
    background.forEach((lane, i) => backgroundLanes[i]?.open(lane, settings.confirmPlaced, events));
  }

  /** For what faults ask for. */
  get demandLane(): RequestLane {
    return this.#demand;
  }

  /** Lets pages flow on every lane; the workers must know the memory. */
  read(): void {
    const { memory, placer, backgroundLanes } = this.#settings;
    const receiver = new ReplyReceiver(memory, () => placer, 'demandPages', {
      endOfStream: () => this.#endOfStream(),
      badReply: (error) => this.#lost(toBadBatch(DEMAND, error)),
    });
    this.#demand.read((reply) => receiver.receive(reply));
    for (const lane of backgroundLanes) lane.read();
  }

  /** Leaves pages unread on every lane (true) or reads them again. After `read`. */
  pause(paused: boolean): void {
    if (this.#isOver) return;
    this.#demand.pause(paused);
    for (const lane of this.#settings.backgroundLanes) lane.pause(paused);
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

  #demandAccepted(): void {
    this.#isDemandAccepted = true;
    if (this.#earlyLoss) this.#lost(this.#earlyLoss);
    else this.#oneAccepted();
  }

  /**
   * Whether the source still has the migration is for the demand lane to hear: an agent that was started
   * anew serves background lanes elsewhere, and that they are refused must not hide what it says.
   */
  #backgroundLost(loss: LaneLoss): void {
    if (this.#isDemandAccepted) this.#lost(loss);
    else this.#earlyLoss ??= loss;
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
    // What has arrived so far, also what waits for its host page to become whole: nothing, the first time.
    const received = [...memory.blocks.values()]
      .filter(({ received: pages, pageCount }) => pages.hasAny({ pgoff: 0, pageCount }))
      .map(({ blockId, received: pages }) => ({ blockId, bits: pages.toBytes() }));
    return {
      migrationId: target.migrationId,
      targetPageSizeBytes: TARGET_PAGE_SIZE,
      blocks: toBlockMessages(memory.shared.blocks),
      received,
      generation: BigInt(generation),
    };
  }

  #lane(lane: string, address: string, init: Init): LaneSettings {
    const { target, timeoutMs } = this.#settings;
    const socketFd = laneDescriptors.take(address);
    return { lane, address, socketFd, token: target.token, init, timeoutMs };
  }
}
