import { LaneKind } from '@umem/api';
import type { Logger } from '@umem/daemon';
import { Overloaded } from '@umem/errors';
import { pagesIn } from '@umem/ram';
import { events } from '../events.js';
import { SentPages } from '../ram/sent-pages.js';
import type { OpenBlock } from '../ram/source-ram.js';
import { LaneRegistry } from './lane-registry.js';
import { NewestFault } from './newest-fault.js';
import { SendCounters, type SendCounts } from './send-counters.js';
import { ServeSession, type PeerShare, type SessionListener, type SessionShare } from './serve-session.js';
import { createToken, toDigest } from './token.js';
import { TokenBucket } from './token-bucket.js';
import type { BackgroundWorkers } from './worker/background-workers.js';

/** The page server to which the VM moves; others come by `createToken`. */
const DESTINATION = 0;

/** Page servers beside the destination's, per migration. */
const MAX_FURTHER_TOKENS = 16;

/** What a migration hears of its pages. */
export interface SourceSessionListener {
  /** The destination's page server has opened or lost a lane. */
  onLanes(open: number): void;
  /** The destination's page server needs nothing more. */
  onEoc(): void;
}

export interface SourceSessionSettings {
  readonly migrationId: string;
  /** Must stay open until `close` has resolved. */
  readonly blocks: readonly OpenBlock[];
  /** Of all background lanes together; 0: no limit. */
  readonly bytesPerSecond: number;
  readonly maxLanes: number;
  readonly workers: BackgroundWorkers;
  readonly log: Logger;
  readonly listener: SourceSessionListener;
}

/** One migration's pages, as the whole process serves them: on the main thread and on all workers. */
export class SourceSession {
  /** The main thread's part. */
  readonly local: ServeSession;
  readonly registry: LaneRegistry;
  readonly #settings: SourceSessionSettings;
  readonly #share: SessionShare;
  readonly #counters: SendCounters[] = [];
  readonly #eocFrom = new Set<number>();
  #closing: Promise<void> | null = null;

  private constructor(settings: SourceSessionSettings) {
    const { migrationId, blocks, bytesPerSecond, maxLanes } = settings;
    this.#settings = settings;
    const bucket = new TokenBucket(bytesPerSecond).share;
    this.#share = { migrationId, blocks, bytesPerSecond, bucket };
    this.local = new ServeSession(this.#share, this.#sessionListener());
    this.registry = new LaneRegistry(maxLanes, {
      onLaneOpened: (peer, kind, generation) => {
        this.#log(events.laneOpened, peer, { kind: LaneKind[kind], generation });
        this.#reportLanes(peer);
      },
      onLaneEnded: (peer, kind, generation, error) => {
        const fields = { kind: LaneKind[kind], generation };
        if (error === null || this.#eocFrom.has(peer)) this.#log(events.laneEnded, peer, fields);
        else this.#log(events.laneFailed, peer, { ...fields, error });
        this.#reportLanes(peer);
      },
    });
  }

  /** Maps the RAM on every thread. Throws NativeError. */
  static async open(settings: SourceSessionSettings): Promise<SourceSession> {
    const session = new SourceSession(settings);
    try {
      const snapshot = { share: session.#share, peers: [], phase: 'parked' as const };
      await settings.workers.open(snapshot, session.#sessionListener());
      return session;
    } catch (error) {
      await session.close(error);
      throw error;
    }
  }

  /**
   * A token for one page server: the first is the destination's. Throws Overloaded when there are
   * too many. The token is kept nowhere but in what this answers.
   */
  async createToken(): Promise<string> {
    const index = this.#counters.length;
    if (index > MAX_FURTHER_TOKENS)
      throw new Overloaded(
        `Migration ${this.#share.migrationId} has ${MAX_FURTHER_TOKENS} lane tokens besides the destination's, which is the most`,
      );
    const token = createToken();
    const pages = new SentPages(this.#share.blocks.map(pagesIn));
    const counters = new SendCounters();
    this.#counters.push(counters);
    this.registry.addPeer(index, pages);
    const peer: PeerShare = {
      index,
      tokenDigest: toDigest(token),
      pages: pages.share,
      newestFault: new NewestFault().share,
      counters: counters.share,
    };
    this.local.addPeer(peer);
    await this.#settings.workers.addPeer(this.#share.migrationId, peer);
    return token;
  }

  /** The guest is stopped and its RAM immutable: requests are answered from now on. */
  freeze(): void {
    this.#enter('frozen');
  }

  /** The guest runs on the destination: background lanes push. */
  push(): void {
    this.#enter('pushing');
  }

  get migrationId(): string {
    return this.#share.migrationId;
  }

  /** Open lanes of the destination's page server. */
  get lanes(): number {
    return this.registry.count(DESTINATION);
  }

  /** What was sent to the destination's page server. */
  get counts(): SendCounts | null {
    return this.#counters[DESTINATION]?.read() ?? null;
  }

  /**
   * Ends all lanes, with OK (null) or the status of `error`, and lets go of the RAM on every thread.
   * Idempotent.
   */
  close(error: unknown): Promise<void> {
    this.#closing ??= this.#close(error);
    return this.#closing;
  }

  async #close(error: unknown): Promise<void> {
    await this.registry.close(error);
    await this.#settings.workers.close(this.#share.migrationId);
    this.local.close();
  }

  #enter(phase: 'frozen' | 'pushing'): void {
    this.local.enter(phase);
    this.#settings.workers.enter(this.#share.migrationId, phase);
  }

  /** What lanes report from any thread is told to all threads. */
  #sessionListener(): SessionListener {
    const { migrationId } = this.#share;
    return {
      onAllSent: (peer) => {
        this.local.pump(peer);
        this.#settings.workers.pump(migrationId, peer);
      },
      onEoc: (peer) => {
        if (this.#eocFrom.has(peer)) return;
        this.#eocFrom.add(peer);
        this.#log(events.endOfConnection, peer, {});
        if (peer === DESTINATION) this.#settings.listener.onEoc();
        void this.registry.endLanes(peer, null);
      },
    };
  }

  #reportLanes(peer: number): void {
    if (peer === DESTINATION) this.#settings.listener.onLanes(this.registry.count(peer));
  }

  #log(event: (typeof events)[keyof typeof events], pageServer: number, fields: object): void {
    this.#settings.log.event(event, { migrationId: this.#share.migrationId, pageServer, ...fields });
  }
}
