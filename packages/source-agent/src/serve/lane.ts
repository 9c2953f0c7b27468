import { LaneKind, type Malformed, type UmemRequest } from '@umem/api';
import { TARGET_PAGE_SIZE, toRanges, type PageRange } from '@umem/ram';
import { BatchBuilder, MAX_PAGES_PER_ADD } from '../ram/batch-builder.js';
import type { SourceBlock } from '../ram/source-ram.js';
import { BackgroundOrder } from './background-order.js';
import type { OpenLaneKind } from './init-check.js';
import { LaneWriter, type LaneCall } from './lane-writer.js';
import type { FaultedPage } from './newest-fault.js';
import { PageQueue, type WaitingPages } from './page-queue.js';
import { RequestReader, type LaneRequest } from './request-reader.js';
import type { Peer, ServeSession } from './serve-session.js';

/** Demand replies in flight before the next is read from RAM: 2 MiB. */
const DEMAND_IN_FLIGHT = 8;

/** Replies in flight before a background page is claimed: one is being sent, one is ready. */
const BACKGROUND_IN_FLIGHT = 2;

/** Requested pages that may wait on one lane; then its requests are not read any more. */
export const MAX_WAITING_PAGES = 33_280;

/** Pages in a background batch, when most are constant: bounds the time of one turn. */
const MAX_BATCH_PAGES = 512;

/** Room for RAW pages below which a background batch is sent as it is. */
const MIN_ROOM_PAGES = 16;

export interface LaneSettings {
  readonly call: LaneCall;
  readonly kind: OpenLaneKind;
  /** Pages in a host page of the peer, for each block. */
  readonly hostPages: readonly number[];
  readonly session: ServeSession;
  readonly peer: Peer;
  /** Called once: with what was wrong, or null for a lane that came to its end. */
  readonly onEnd: (error: unknown) => void;
}

/**
 * One open lane. Here demand overtakes background: each time the peer can take more, demanded pages
 * go first, then pages asked for at background priority, then, on a background lane, the next pages
 * that nobody has sent. Of these only demand ignores the rate limit.
 */
export class Lane {
  readonly #settings: LaneSettings;
  readonly #writer: LaneWriter;
  readonly #reader: RequestReader;
  readonly #demand = new PageQueue();
  readonly #background = new PageQueue();
  readonly #order: BackgroundOrder;
  #lastFault: FaultedPage | null = null;
  #rateTimer: NodeJS.Timeout | null = null;
  #pumping = false;
  /** Pages were claimed since the last look at whether they were the last ones. */
  #claimed = false;
  #eosSent = false;
  /** The peer has half-closed: no more requests. */
  #halfClosed = false;
  #ended = false;

  /** The call's headers have been sent. Reads requests from now on. */
  constructor(settings: LaneSettings) {
    const { call, hostPages, session, peer } = settings;
    this.#settings = settings;
    this.#writer = new LaneWriter(call, () => this.pump());
    this.#reader = new RequestReader(session.ram);
    this.#order = new BackgroundOrder(
      session.ram.blocks.map(({ pageCount }) => pageCount),
      (block, from, limit, maxPages) => peer.pages.nextUnsent(block, from, limit, maxPages),
      hostPages,
    );
    peer.lanes.add(this);
    call.on('data', (message: UmemRequest | Malformed) => this.#receive(message));
    call.on('end', () => {
      this.#halfClosed = true;
      this.pump();
    });
    call.on('cancelled', () => this.#over(null));
    call.resume();
    this.pump();
  }

  /** Ends the lane with OK, or with the status of `error`. Nothing is claimed any more. Idempotent. */
  end(error: unknown): void {
    if (this.#ended) return;
    this.#over(error);
    if (error === null) this.#writer.end();
    else this.#writer.fail(error);
  }

  /** Sends what can be sent now. */
  pump(): void {
    if (this.#pumping || this.#ended) return;
    this.#pumping = true;
    try {
      if (this.#settings.session.phase !== 'parked') this.#sendAll();
    } catch (error) {
      this.end(error);
    }
    this.#pumping = false;
    this.#reportAllSent();
    this.#finish();
  }

  /** The rate limit has changed: what was to wait by the old one looks anew. */
  rateChanged(): void {
    if (this.#rateTimer) this.#afterDelay();
  }

  #receive(message: UmemRequest | Malformed): void {
    if (this.#ended) return;
    try {
      this.#obey(this.#reader.read(message));
    } catch (error) {
      this.end(error);
    }
  }

  #obey(request: LaneRequest): void {
    const { session, peer, call } = this.#settings;
    switch (request.kind) {
      case 'demand':
        peer.newestFault.set({ block: request.block.index, pgoff: request.pgoffs[0] ?? 0 });
        this.#demand.add(request);
        break;
      case 'background':
        this.#background.add(request);
        break;
      case 'remove':
        for (const pgoff of request.pgoffs) peer.pages.remove(request.block.index, pgoff);
        peer.counters.add('removedPages', request.pgoffs.length);
        this.#claimed = true;
        break;
      case 'placed':
        if (session.releasesRam) session.listener.onPlaced(peer.index, request.block.index, request.ranges);
        return;
      case 'eoc':
        return session.listener.onEoc(peer.index);
    }
    this.pump();
    if (this.#waiting >= MAX_WAITING_PAGES) call.pause();
  }

  get #waiting(): number {
    return this.#demand.length + this.#background.length;
  }

  #sendAll(): void {
    while (this.#writer.inFlight < DEMAND_IN_FLIGHT && !this.#ended) {
      const waiting = this.#demand.take(MAX_PAGES_PER_ADD);
      if (waiting) this.#sendRequested(waiting, 'demandPages');
      else if (!this.#sendBackground()) return;
    }
  }

  /** Sends one batch at background priority; false when there is none to send now. */
  #sendBackground(): boolean {
    const { session, kind, peer } = this.#settings;
    if (this.#writer.inFlight >= BACKGROUND_IN_FLIGHT) return false;
    const pushing = kind === LaneKind.BACKGROUND && session.pushesTo(peer.index);
    if (this.#background.length === 0 && !pushing) return false;
    const { bucket } = session;
    const turnPages = Math.min(MAX_PAGES_PER_ADD, bucket.pagesPerTurn());
    const turnBytes = turnPages * TARGET_PAGE_SIZE;
    if (!bucket.take(turnBytes)) {
      this.#rateTimer ??= setTimeout(() => this.#afterDelay(), Math.max(1, bucket.delayMs()));
      return false;
    }
    const waiting = this.#background.take(turnPages);
    const sentBytes = waiting ? this.#sendRequested(waiting, 'backgroundPages') : this.#push(turnPages);
    bucket.giveBack(turnBytes - (sentBytes ?? 0));
    return sentBytes !== null;
  }

  #afterDelay(): void {
    if (this.#rateTimer) clearTimeout(this.#rateTimer);
    this.#rateTimer = null;
    this.pump();
  }

  /**
   * Sends pages that were asked for, even if they were sent before: they may be late on another lane.
   * Answers with the bytes.
   */
  #sendRequested({ block, pgoffs }: WaitingPages, counter: 'demandPages' | 'backgroundPages'): number {
    const { pages } = this.#settings.peer;
    const wanted = new Set(pgoffs.filter((pgoff) => !pages.isOver(block.index, pgoff)));
    if (wanted.size === 0) return 0;
    const builder = this.#startBatch(block);
    for (const range of toRanges([...wanted].sort((a, b) => a - b))) {
      if (pages.claim(block.index, range).length > 0) this.#claimed = true;
      builder.add(range);
    }
    return this.#send(builder, counter);
  }

  /** Claims and sends the next pages in background order; null when nothing is left, else the bytes. */
  #push(turnPages: number): number | null {
    const { peer, session } = this.#settings;
    this.#followFaults();
    const first = this.#order.next(turnPages);
    const block = first && session.ram.blocks[first.block];
    if (!block) return null;
    const builder = this.#startBatch(block);
    for (let next: PageRange | null = first; next;) {
      for (const range of peer.pages.claim(block.index, next)) builder.add(range);
      this.#order.went({ block: block.index, ...next });
      next = this.#continuation(block, next.pgoff + next.pageCount, builder, turnPages);
    }
    // Another lane may have been faster with all of them; then the next turn looks elsewhere.
    if (builder.pages === 0) return 0;
    this.#claimed = true;
    return this.#send(builder, 'backgroundPages');
  }

  /** More unsent pages right after `from`, as long as constant pages leave the batch small. */
  #continuation(
    block: SourceBlock,
    from: number,
    builder: BatchBuilder,
    turnPages: number,
  ): PageRange | null {
    const room = turnPages - builder.rawPages;
    if (room < MIN_ROOM_PAGES || builder.isFull || builder.pages >= MAX_BATCH_PAGES) return null;
    const { pages } = this.#settings.peer;
    const limit = Math.min(block.pageCount, from + MAX_PAGES_PER_ADD);
    return pages.nextUnsent(block.index, from, limit, room);
  }

  #followFaults(): void {
    const { session, peer } = this.#settings;
    const fault = session.followsFaults ? peer.newestFault.get() : null;
    if (!fault || (fault.block === this.#lastFault?.block && fault.pgoff === this.#lastFault.pgoff)) return;
    this.#lastFault = fault;
    this.#order.faulted(fault);
  }

  #startBatch(block: SourceBlock): BatchBuilder {
    return new BatchBuilder(block, this.#writer.takeBuffer());
  }

  #send(builder: BatchBuilder, counter: 'demandPages' | 'backgroundPages'): number {
    const { peer } = this.#settings;
    peer.counters.add(counter, builder.pages);
    peer.counters.add('fillPages', builder.fillPages);
    peer.counters.add('wireBytes', builder.wireBytes);
    this.#writer.send(builder.build());
    return builder.wireBytes;
  }

  #reportAllSent(): void {
    if (!this.#claimed) return;
    this.#claimed = false;
    const { session, peer } = this.#settings;
    if (peer.pages.unsent === 0) session.listener.onAllSent(peer.index);
  }

  /** Sends EOS when it is due, reads on when there is room, and ends a lane that has nothing more to do. */
  #finish(): void {
    if (this.#ended) return;
    const { call, kind, session, peer } = this.#settings;
    const idle = this.#waiting === 0;
    if (idle && !this.#eosSent && session.phase !== 'parked' && peer.pages.unsent === 0) {
      this.#eosSent = true;
      this.#writer.sendEos();
    }
    if (call.isPaused() && this.#waiting < MAX_WAITING_PAGES) call.resume();
    if (idle && this.#halfClosed && (kind === LaneKind.DEMAND || this.#eosSent)) this.end(null);
  }

  #over(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#rateTimer) clearTimeout(this.#rateTimer);
    this.#settings.peer.lanes.delete(this);
    this.#settings.onEnd(error);
  }
}
