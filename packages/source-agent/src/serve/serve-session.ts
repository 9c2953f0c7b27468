import { NotFound, PermissionDenied } from '@umem/errors';
import { native } from '@umem/native';
import { pagesIn, TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import { SentPages, type SentPagesShare } from '../ram/sent-pages.js';
import { SourceRam, type OpenBlock } from '../ram/source-ram.js';
import { NewestFault } from './newest-fault.js';
import { SendCounters } from './send-counters.js';
import { isDigest, toDigest } from './token.js';
import { TokenBucket } from './token-bucket.js';

/**
 * parked: the guest runs, requests wait. frozen: its RAM is immutable, requests are answered.
 * on-demand: background lanes push what is missing, but not those of the destination, which shall get
 * pages by faults alone. pushing: all background lanes push.
 */
export type Phase = 'parked' | 'frozen' | 'on-demand' | 'pushing';

/** Index of the page server to which the VM moves; others come by `createToken`. */
export const DESTINATION = 0;

/** What every thread must know to serve a migration's lanes; can be posted to a worker. */
export interface SessionShare {
  readonly migrationId: string;
  readonly blocks: readonly OpenBlock[];
  readonly bucket: SharedArrayBuffer;
  /** Whether pages are freed here once they are confirmed. */
  readonly releasesRam: boolean;
  /** Whether the background goes to where the newest faults are. */
  readonly followsFaults: boolean;
}

/** One page server of a migration: who it is and what it was sent; can be posted to a worker. */
export interface PeerShare {
  readonly index: number;
  readonly tokenDigest: Uint8Array;
  readonly pages: SentPagesShare;
  readonly newestFault: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
}

/** What lanes report, on whatever thread they run. */
export interface SessionListener {
  /** Everything has been sent to this page server: its lanes may send EOS. */
  onAllSent(peer: number): void;
  /** The page server said EOC. */
  onEoc(peer: number): void;
  /** The page server has pages in place. Called only where pages are freed. */
  onPlaced(peer: number, block: number, ranges: readonly PageRange[]): void;
}

/** An open lane, as its session sees it. */
export interface SessionLane {
  /** Something may be possible now that was not before. */
  pump(): void;
  /** The bucket has another rate. */
  rateChanged(): void;
}

/** One page server, as one thread sees it. Each token is one page server. */
export interface Peer {
  readonly index: number;
  readonly tokenDigest: Uint8Array;
  readonly pages: SentPages;
  readonly newestFault: NewestFault;
  readonly counters: SendCounters;
  readonly lanes: Set<SessionLane>;
}

/** A migration's pages, as one thread serves them. */
export class ServeSession {
  readonly ram: SourceRam;
  readonly bucket: TokenBucket;
  readonly #share: SessionShare;
  readonly #peers: Peer[] = [];
  #phase: Phase = 'parked';

  /** Maps the RAM. Throws NativeError. */
  constructor(
    share: SessionShare,
    readonly listener: SessionListener,
  ) {
    this.#share = share;
    this.ram = SourceRam.open(share.blocks);
    this.bucket = new TokenBucket(share.bucket);
  }

  get migrationId(): string {
    return this.#share.migrationId;
  }

  get blocks(): readonly OpenBlock[] {
    return this.#share.blocks;
  }

  get releasesRam(): boolean {
    return this.#share.releasesRam;
  }

  get followsFaults(): boolean {
    return this.#share.followsFaults;
  }

  /** Whether background lanes of a page server push. */
  pushesTo(peer: number): boolean {
    return this.#phase === 'pushing' || (this.#phase === 'on-demand' && peer !== DESTINATION);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Lets lanes do what the phase allows. */
  enter(phase: Phase): void {
    this.#phase = phase;
    for (const { lanes } of this.#peers) for (const lane of [...lanes]) lane.pump();
  }

  addPeer(share: PeerShare): Peer {
    const peer: Peer = {
      index: share.index,
      tokenDigest: share.tokenDigest,
      pages: new SentPages(this.blocks.map(pagesIn), share.pages),
      newestFault: new NewestFault(share.newestFault),
      counters: new SendCounters(share.counters),
      lanes: new Set(),
    };
    this.#peers.push(peer);
    return peer;
  }

  /** Whose token it is. Throws PermissionDenied. */
  authenticate(token: string): Peer {
    const digest = toDigest(token);
    const peer = this.#peers.find(({ tokenDigest }) => isDigest(tokenDigest, digest));
    if (!peer)
      throw new PermissionDenied(
        `The umem-token is not one of migration ${this.migrationId}: use the one it was given, or CreateLaneToken's`,
      );
    return peer;
  }

  /** Lets one page server's lanes of this thread see a change. */
  pump(peer: number): void {
    for (const lane of [...(this.#peers[peer]?.lanes ?? [])]) lane.pump();
  }

  /** Lets lanes that wait for the bucket see its new rate. */
  rateChanged(): void {
    for (const { lanes } of this.#peers) for (const lane of [...lanes]) lane.rateChanged();
  }

  /** Frees pages of the RAM file: whole host pages. Throws NativeError. */
  punch(block: number, { pgoff, pageCount }: PageRange): void {
    const { fd } = this.blocks[block] ?? {};
    if (fd === undefined)
      throw new RangeError(`There is no block ${block}: the VM has ${this.blocks.length}`);
    native.punchHole(fd, pgoff * TARGET_PAGE_SIZE, pageCount * TARGET_PAGE_SIZE);
  }

  /** Unmaps the RAM; lanes must have ended. */
  close(): void {
    this.ram.close();
  }
}

/** The sessions of one thread, by migration id. */
export class ServeSessions {
  readonly #byId = new Map<string, ServeSession>();

  add(session: ServeSession): void {
    this.#byId.set(session.migrationId, session);
  }

  remove(session: ServeSession): void {
    if (this.#byId.get(session.migrationId) === session) this.#byId.delete(session.migrationId);
  }

  all(): ServeSession[] {
    return [...this.#byId.values()];
  }

  find(migrationId: string): ServeSession | undefined {
    return this.#byId.get(migrationId);
  }

  /** Throws NotFound. */
  get(migrationId: string): ServeSession {
    const session = this.#byId.get(migrationId);
    if (!session)
      throw new NotFound(
        `Init.migration_id names "${migrationId}", which this source-agent is not serving: it is unknown, not yet prepared, or over`,
      );
    return session;
  }
}
