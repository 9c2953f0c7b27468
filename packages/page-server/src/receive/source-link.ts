import { setTimeout as delay } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type { LaneTarget } from '@umem/api';
import { HostPrecondition, InvalidArgument, PeerUnavailable, WrongState } from '@umem/errors';
import type { BatchPlacer } from '../place/batch-placer.js';
import type { UmemMemory } from '../place/umem-memory.js';
import type { RequestLane } from '../request/demand-sender.js';
import { BackgroundLane, type WorkerPlacementListener } from './background-lane.js';
import { backoffMs } from './backoff.js';
import { Connection, LaneLost } from './connection.js';
import { descriptorsOf, nameDescriptors } from './lane-descriptors.js';
import { isRefusal, type LaneLoss } from './lane-loss.js';
import { missingPages } from './missing-pages.js';
import type { DuplicatedTarget } from '../session/guest-memory.js';

/** Milliseconds after which dropped pages are asked for again: those that are on their way come first. */
const ASK_AGAIN_MS = 100;

export interface SourceLinkSettings {
  /** What has the link, for messages: "umem vm1". */
  readonly subject: string;
  readonly memory: UmemMemory;
  readonly placer: BatchPlacer;
  /** What the workers' placing is told to. */
  readonly placement: WorkerPlacementListener;
  /** True for pages that a fault waits for: the demand lane was asked for those. */
  readonly isWaitedFor: (blockId: string, pgoff: number) => boolean;
  readonly connectTimeoutMs: number;
  readonly maxReconnectDelayMs: number;
  /** Refusals in a row after which the source is taken at its word. */
  readonly maxRefusals: number;
}

export interface SourceLinkListener {
  /** Lanes are connected and pages flow: requests go over `lane`. After `arm`. */
  flowing(lane: RequestLane): void;
  /** A lane was lost, or could not be connected again. */
  lost(loss: LaneLoss): void;
  /** An attempt to connect again begins. */
  recovering(generation: number): void;
  /** The source says again and again that it has no such pages. Nothing is tried any more. */
  hopeless(loss: LaneLoss): void;
  /** Every lane has said EOS and pages are missing: they are being asked for. */
  missingAfterEos(pages: number): void;
}

/** The connections of one umem set to its source, one after the other. Main event loop only. */
export class SourceLink {
  readonly #settings: SourceLinkSettings;
  readonly #listener: SourceLinkListener;
  readonly #closed = new AbortController();
  #target: LaneTarget | null = null;
  #workers: BackgroundLane[] = [];
  #connection: Connection | null = null;
  #connecting = false;
  /** Its lanes were lost and cannot be connected again: only another target helps. */
  #stranded = false;
  /** Set when pages may flow. */
  #duplicateTarget: (() => DuplicatedTarget) | null = null;
  #paused = false;
  /** The connection on which every lane has said EOS. */
  #endOfStream: Connection | null = null;
  #asksAgain: NodeJS.Timeout | null = null;
  #confirmPlaced = false;
  #generation = 0;
  /** Tries and refusals since pages last arrived. */
  #attempts = 0;
  #refusals = 0;
  #settledAtConnect = 0n;
  #recoveries = 0;

  constructor(settings: SourceLinkSettings, listener: SourceLinkListener) {
    this.#settings = settings;
    this.#listener = listener;
  }

  get isConnected(): boolean {
    return this.#connection !== null;
  }

  /** Lanes were lost, nothing is tried any more, and `connect` with another target goes on with it. */
  get isStranded(): boolean {
    return this.#stranded && !this.#closed.signal.aborted;
  }

  get #isArmed(): boolean {
    return this.#duplicateTarget !== null;
  }

  /** Times that lanes were lost and connected again. */
  get recoveries(): number {
    return this.#recoveries;
  }

  /** The migration that fills the set; empty before `connect`. */
  get migrationId(): string {
    return this.#target?.migrationId ?? '';
  }

  /**
   * Connects for the first time, or to another target when it is stranded; resolves when every lane is
   * accepted. Throws WrongState when it is connected, InvalidArgument for a target of another migration,
   * HostPrecondition with the source's words when it refuses, PeerUnavailable when it cannot be reached;
   * after those two it may be called again.
   */
  async connect(asked: LaneTarget, confirmPlaced: boolean): Promise<void> {
    const target = { ...asked, token: asked.token === '' ? (this.#target?.token ?? '') : asked.token };
    if (this.#connecting || this.#connection)
      throw new WrongState(
        this.#settings.subject,
        this.#connecting ? 'connecting' : 'connected',
        ['not connected'],
        'lanes are connected once',
      );
    if (this.#target && target.migrationId !== this.#target.migrationId)
      throw new InvalidArgument(
        `target.migration_id is ${target.migrationId} and ${this.#settings.subject} is filled by ${this.#target.migrationId}`,
      );
    this.#connecting = true;
    this.#confirmPlaced = confirmPlaced;
    try {
      this.#prepareWorkers(target.backgroundAddresses.length);
      this.#connection = await this.#open(target);
      this.#target = target;
      if (this.#stranded) this.#rescued(this.#connection);
    } catch (error) {
      throw error instanceof LaneLost ? toConnectError(error.loss, target) : error;
    } finally {
      this.#connecting = false;
    }
  }

  /** Memory is known and faults are answered: pages flow from now on, also after a reconnect. */
  arm(duplicateTarget: () => DuplicatedTarget): void {
    this.#duplicateTarget = duplicateTarget;
    this.giveMemory(duplicateTarget);
    if (this.#connection) this.#flow(this.#connection);
  }

  /** Tells the threads, once they place, where the memory is now. */
  giveMemory(duplicateTarget: () => DuplicatedTarget): void {
    if (this.#isArmed) for (const worker of this.#workers) worker.giveMemory(duplicateTarget());
  }

  /** Leaves pages unread on all lanes (true) or reads them again. */
  pause(paused: boolean): void {
    this.#paused = paused;
    if (this.#isArmed) this.#connection?.pause(paused);
  }

  /**
   * Pages were dropped: asks for what is missing, now when the source has nothing more to send, else after
   * end of stream.
   */
  pagesDropped(): void {
    if (!this.#connection || this.#endOfStream !== this.#connection || this.#asksAgain) return;
    this.#asksAgain = setTimeout(() => {
      this.#asksAgain = null;
      if (this.#connection) this.#guard(this.#askForMissing(this.#connection));
    }, ASK_AGAIN_MS);
  }

  /** Every page has arrived: lanes that are lost from now on stay lost. */
  stopRecovering(): void {
    this.#closed.abort();
  }

  /** EOC on all lanes; answers with what was not clean about their end. No lane is opened any more. */
  async finish(timeoutMs: number): Promise<string[]> {
    this.stopRecovering();
    const problems = (await this.#connection?.finish(timeoutMs)) ?? ['no lane was connected'];
    this.#connection = null;
    return problems;
  }

  /** Ends lanes and threads. Idempotent. */
  close(): void {
    this.stopRecovering();
    if (this.#asksAgain) clearTimeout(this.#asksAgain);
    this.#asksAgain = null;
    this.#connection?.cancel();
    this.#connection = null;
    for (const worker of this.#workers.splice(0)) worker.exit();
  }

  #prepareWorkers(count: number): void {
    const { memory, placement } = this.#settings;
    while (this.#workers.length < count) this.#workers.push(new BackgroundLane(memory, placement));
    for (const worker of this.#workers.splice(count)) worker.exit();
  }

  /** One attempt. Throws LaneLost. */
  async #open(target: LaneTarget): Promise<Connection> {
    const { memory, placer, connectTimeoutMs: timeoutMs } = this.#settings;
    const generation = ++this.#generation;
    const connection = new Connection(
      {
        target,
        memory,
        placer,
        generation,
        timeoutMs,
        backgroundLanes: this.#workers,
        confirmPlaced: this.#confirmPlaced,
      },
      {
        lost: (loss) => this.#guard(this.#reconnect(target, loss)),
        endOfStream: () => {
          this.#endOfStream = connection;
          this.#guard(this.#askForMissing(connection));
        },
      },
    );
    const cancel = (): void => connection.cancel();
    this.#closed.signal.addEventListener('abort', cancel, { once: true });
    try {
      await connection.accepted;
    } finally {
      this.#closed.signal.removeEventListener('abort', cancel);
    }
    this.#settledAtConnect = memory.counters.get('settledPages');
    return connection;
  }

  #flow(connection: Connection): void {
    connection.read();
    if (this.#paused) connection.pause(true);
    this.#listener.flowing(connection.demandLane);
  }

  /** Another target has taken the place of one that was lost for good. */
  #rescued(connection: Connection): void {
    this.#stranded = false;
    this.#attempts = this.#refusals = 0;
    this.#recoveries++;
    this.#listener.recovering(this.#generation);
    if (this.#duplicateTarget) this.giveMemory(this.#duplicateTarget);
    this.#flow(connection);
  }

  /** Before the set is armed a lost lane is the end of it, which the listener sees to by `close`. */
  async #reconnect(target: LaneTarget, first: LaneLoss): Promise<void> {
    this.#connection = null;
    if (this.#closed.signal.aborted) return;
    if (this.#settings.memory.counters.get('settledPages') > this.#settledAtConnect)
      this.#attempts = this.#refusals = 0;
    const fds = descriptorsOf(target);
    this.#stranded = this.#isArmed && fds.length > 0;
    if (this.#stranded) return this.#listener.lost(toStranded(first, fds));
    for (let loss = first; ;) {
      this.#refusals = isRefusal(loss) ? this.#refusals + 1 : 0;
      this.#listener.lost(loss);
      if (this.#closed.signal.aborted) return;
      if (this.#refusals >= this.#settings.maxRefusals) return this.#listener.hopeless(loss);
      await this.#wait();
      if (this.#closed.signal.aborted) return;
      this.#listener.recovering(this.#generation + 1);
      try {
        this.#connection = await this.#open(target);
        break;
      } catch (error) {
        if (this.#closed.signal.aborted) return;
        if (!(error instanceof LaneLost)) throw error;
        loss = error.loss;
      }
    }
    this.#recoveries++;
    if (this.#isArmed) this.#flow(this.#connection);
  }

  /** What goes wrong in work that nobody waits for ends the set. */
  #guard(work: Promise<void>): void {
    work.catch((error: unknown) => this.#settings.placement.broken(error));
  }

  async #wait(): Promise<void> {
    const ms = backoffMs(this.#attempts++, this.#settings.maxReconnectDelayMs);
    // Being closed ends the wait; the caller looks.
    await delay(ms, undefined, { signal: this.#closed.signal }).catch(() => {});
  }

  async #askForMissing(connection: Connection): Promise<void> {
    const { memory, isWaitedFor } = this.#settings;
    let asked = 0;
    for (const { blockId, pgoffs } of missingPages(memory, isWaitedFor)) {
      if (asked === 0) this.#listener.missingAfterEos(memory.remainingPages());
      asked += pgoffs.length;
      await connection.requestMissing(blockId, pgoffs);
      if (connection.isOver) return;
    }
  }
}

/** The loss of lanes of which one at least cannot be connected again, which keeps all from it. */
function toStranded(loss: LaneLoss, fds: readonly number[]): LaneLoss {
  const advice = `${nameDescriptors(fds)} cannot be connected again: faults wait until ConnectUmem gives the set another source address`;
  return { ...loss, message: `${loss.message}; ${advice}` };
}

function toConnectError(loss: LaneLoss, target: LaneTarget): HostPrecondition | PeerUnavailable {
  const where = `source at ${target.demandAddress}`;
  if (loss.code === status.UNAVAILABLE || loss.code === status.DEADLINE_EXCEEDED)
    return new PeerUnavailable(
      `Cannot reach the ${where} (${loss.lane}): ${loss.message}. Check that it runs and that this host can connect to it`,
    );
  return new HostPrecondition(`The ${where} refused the ${loss.lane}: ${loss.message}`);
}
