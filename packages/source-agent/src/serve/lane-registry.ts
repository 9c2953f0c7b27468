import { LaneKind } from '@umem/api';
import { Cancelled, NotFound, Overloaded, PageLoss, StaleSession } from '@umem/errors';
import type { SentPages } from '../ram/sent-pages.js';
import type { LaneOffer, OpenLaneKind } from './init-check.js';
import type { EndLane, LaneGate, LanePass } from './lane-gate.js';

/** A lane that is open, on any thread. */
interface OpenLane {
  readonly kind: OpenLaneKind;
  readonly generation: bigint;
  readonly end: EndLane;
}

/** The lanes of one page server. */
interface PeerLanes {
  readonly pages: SentPages;
  readonly open: Set<OpenLane>;
  generation: bigint;
  /** Admissions one after the other, because a new connection first ends the old one's lanes. */
  turn: Promise<unknown>;
}

/** What a registry tells its session; for logs, metrics and the migration's state. */
export interface LaneRegistryListener {
  onLaneOpened(peer: number, kind: OpenLaneKind, generation: bigint): void;
  onLaneEnded(peer: number, kind: OpenLaneKind, generation: bigint, error: unknown): void;
}

/** All lanes of one migration, on all threads: generations and limits. Lives on the main thread. */
export class LaneRegistry implements LaneGate {
  readonly #peers = new Map<number, PeerLanes>();
  #closed: { readonly error: unknown } | null = null;

  constructor(
    /** Lanes per page server, the demand lane included. */
    private readonly maxLanes: number,
    private readonly listener: LaneRegistryListener,
  ) {}

  addPeer(index: number, pages: SentPages): void {
    this.#peers.set(index, { pages, open: new Set(), generation: 0n, turn: Promise.resolve() });
  }

  /** Open lanes of one page server. */
  count(peer: number): number {
    return this.#peers.get(peer)?.open.size ?? 0;
  }

  admit(migrationId: string, index: number, offer: LaneOffer, end: EndLane): Promise<LanePass> {
    const peer = this.#peers.get(index);
    if (!peer) return Promise.reject(new NotFound(`Migration ${migrationId} has no page server ${index}`));
    const admitted = peer.turn.then(() => this.#admit(index, peer, offer, end));
    // Whoever asked hears of a refusal; the next in turn does not depend on it.
    peer.turn = admitted.catch(() => {});
    return admitted;
  }

  /** Ends the lanes of one page server: with OK, or with the status of `error`. */
  async endLanes(index: number, error: unknown): Promise<void> {
    const lanes = [...(this.#peers.get(index)?.open ?? [])];
    const ended = async (lane: OpenLane): Promise<void> => {
      await lane.end(error);
      this.#release(index, lane, error);
    };
    await Promise.all(lanes.map(ended));
  }

  /** Ends all lanes and lets no more in. */
  async close(error: unknown): Promise<void> {
    this.#closed ??= { error };
    await Promise.all([...this.#peers.keys()].map((index) => this.endLanes(index, error)));
  }

  async #admit(index: number, peer: PeerLanes, offer: LaneOffer, end: EndLane): Promise<LanePass> {
    const { kind, generation } = offer;
    this.#checkOpen();
    if (generation < peer.generation)
      throw new StaleSession(
        `Init.generation is ${generation} and the newest connection's ${peer.generation}: connect all lanes anew with a higher one`,
      );
    if (generation > peer.generation) {
      peer.generation = generation;
      await this.endLanes(
        index,
        new StaleSession(
          `The page server has connected anew with generation ${generation}: this lane is stale`,
        ),
      );
      this.#checkOpen();
    }
    // The first lane of a connection says what arrived of the one before; the rest is sent again.
    if (peer.open.size === 0) restart(peer.pages, offer);
    this.#checkLimits(peer, kind);
    const lane: OpenLane = { kind, generation, end };
    peer.open.add(lane);
    this.listener.onLaneOpened(index, kind, generation);
    return { release: (error) => this.#release(index, lane, error) };
  }

  #release(index: number, lane: OpenLane, error: unknown): void {
    if (this.#peers.get(index)?.open.delete(lane))
      this.listener.onLaneEnded(index, lane.kind, lane.generation, error);
  }

  #checkOpen(): void {
    if (!this.#closed) return;
    const { error } = this.#closed;
    throw error instanceof Error ? error : new Cancelled('The migration is over: no lane is needed any more');
  }

  #checkLimits(peer: PeerLanes, kind: OpenLaneKind): void {
    if (kind === LaneKind.DEMAND && [...peer.open].some((lane) => lane.kind === kind))
      throw new Overloaded(
        'This page server already has its one demand lane: end it first, or connect all lanes anew with a higher Init.generation',
      );
    if (peer.open.size >= this.maxLanes)
      throw new Overloaded(
        `This page server has ${peer.open.size} lanes and --max-lanes allows ${this.maxLanes}: end one first`,
      );
  }
}

/** Throws PageLoss when pages are missing that were confirmed, and so may be gone here. */
function restart(pages: SentPages, { received }: LaneOffer): void {
  const lost = pages.findLost(received);
  if (lost)
    throw new PageLoss(
      `Init.received lacks page ${lost.pgoff} of block ${lost.block}, which this page server has confirmed as placed: the source has freed it (release_ram)`,
      String(lost.block),
      lost.pgoff,
      1,
    );
  pages.restart(received);
}
