import { LaneKind } from '@umem/api';
import type { Logger } from '@umem/daemon';
import { HostPrecondition, Overloaded } from '@umem/errors';
import { pagesIn, type PageRange } from '@umem/ram';
import { events } from '../events.js';
import { SentPages } from '../ram/sent-pages.js';
import type { OpenBlock } from '../ram/source-ram.js';
import { LaneRegistry } from './lane-registry.js';
import { NewestFault } from './newest-fault.js';
import { RamRelease } from './ram-release.js';
import { SendCounters, type SendCounts } from './send-counters.js';
import {
  DESTINATION,
  ServeSession,
  type PeerShare,
  type Phase,
  type SessionListener,
  type SessionShare,
} from './serve-session.js';
import { createToken, toDigest } from './token.js';
import { TokenBucket } from './token-bucket.js';
import type { BackgroundWorkers } from './worker/background-workers.js';

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
  /** Free pages as the destination confirms them; the blocks are then open for writing. */
  readonly releasesRam: boolean;
  readonly maxLanes: number;
  /** Whether the background goes to where the newest faults are. */
  readonly followsFaults: boolean;
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
  #release: RamRelease | null = null;
  #releaseFailed = false;
  #closing: Promise<void> | null = null;

  private constructor(settings: SourceSessionSettings) {
    const { migrationId, blocks, bytesPerSecond, releasesRam, followsFaults, maxLanes } = settings;
    this.#settings = settings;
    const bucket = TokenBucket.create(bytesPerSecond).share;
    this.#share = { migrationId, blocks, bucket, releasesRam, followsFaults };
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
   * too many, HostPrecondition when RAM is freed as the destination gets it. The token is kept nowhere
   * but in what this answers.
   */
  async createToken(): Promise<string> {
    const index = this.#counters.length;
    if (index > MAX_FURTHER_TOKENS)
      throw new Overloaded(
        `Migration ${this.#share.migrationId} has ${MAX_FURTHER_TOKENS} lane tokens besides the destination's, which is the most`,
      );
    if (index > DESTINATION && this.#share.releasesRam)
      throw new HostPrecondition(
        `Migration ${this.#share.migrationId} frees source pages as its destination confirms them (release_ram): it can serve no other page server`,
      );
    const token = createToken();
    const pages = new SentPages(this.#share.blocks.map(pagesIn));
    const counters = new SendCounters();
    this.#counters.push(counters);
    this.registry.addPeer(index, pages);
    if (index === DESTINATION && this.#share.releasesRam)
      this.#release = new RamRelease(this.#share.blocks, pages, (block, ranges) =>
        this.#punch(block, ranges),
      );
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

  /**
   * Background lanes push from now on; those of the destination only if it is not to get pages by
   * faults alone. Only once the guest runs there.
   */
  push({ toDestination = true } = {}): void {
    this.#enter(toDestination ? 'pushing' : 'on-demand');
  }

  /** The guest runs on the destination: pages that it has confirmed are freed, if that is wanted. */
  allowRelease(): void {
    this.#release?.allow();
  }

  /** Limits all background lanes together from now on; 0: no limit. */
  setRate(bytesPerSecond: number): void {
    this.local.bucket.setRate(bytesPerSecond);
    this.local.rateChanged();
    this.#settings.workers.rateChanged(this.#share.migrationId);
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

  #enter(phase: Phase): void {
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
        if (peer === DESTINATION) {
          // Confirmations that are still on their way are overtaken.
          this.#release?.placedAll();
          this.#settings.listener.onEoc();
        }
        void this.registry.endLanes(peer, null);
      },
      onPlaced: (peer, block, ranges) => {
        if (peer === DESTINATION) this.#release?.placed(block, ranges);
      },
    };
  }

  /** On a worker thread, for freeing takes time and this thread answers demand. */
  #punch(block: number, ranges: readonly PageRange[]): void {
    const pages = ranges.reduce((sum, { pageCount }) => sum + pageCount, 0);
    this.#settings.workers.punch(this.#share.migrationId, block, ranges).then(
      () => this.#counters[DESTINATION]?.add('releasedPages', pages),
      (error: unknown) => {
        // The pages just stay; once is enough to tell.
        if (!this.#releaseFailed && !this.#closing) this.#log(events.releaseFailed, DESTINATION, { error });
        this.#releaseFailed = true;
      },
    );
  }

  #reportLanes(peer: number): void {
    if (peer === DESTINATION) this.#settings.listener.onLanes(this.registry.count(peer));
  }

  #log(event: (typeof events)[keyof typeof events], pageServer: number, fields: object): void {
    this.#settings.log.event(event, { migrationId: this.#share.migrationId, pageServer, ...fields });
  }
}
