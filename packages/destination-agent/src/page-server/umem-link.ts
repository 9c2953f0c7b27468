import { setTimeout as delay } from 'node:timers/promises';
import {
  UmemState,
  type ConnectUmemRequest,
  type CreateUmemRequest,
  type LaneTarget,
  type Umem,
} from '@umem/api';
import { AlreadyExists, DeadlineExceeded, NotFound, PeerUnavailable } from '@umem/errors';
import type { PageServer } from './page-server.js';
import { UmemStreams, type UmemListener } from './umem-streams.js';

/** First and longest wait between attempts to reach a page server that went away, in milliseconds. */
const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 5_000;
/** How long a set may take to let go of memory that is complete. */
const RELEASE_TIMEOUT_MS = 10_000;

const HANDED_OFF_OR_LATER: readonly UmemState[] = [
  UmemState.HANDED_OFF,
  UmemState.ARMED,
  UmemState.DETACHED,
  UmemState.RECOVERING,
  UmemState.RESIDENT,
  UmemState.RELEASED,
];
const ARMED_OR_LATER = HANDED_OFF_OR_LATER.slice(1);

/** Where lanes go, and what is said on them. */
export type LaneOrder = Pick<ConnectUmemRequest, 'confirmPlaced'> & { readonly target: LaneTarget };

/** What an incoming VM wants to hear about its umem set. */
export type UmemEvents = Pick<UmemListener, 'onUmem' | 'onTouch' | 'onQuit' | 'onLoss' | 'onBroken'>;

/** One umem set of the page server, as the VMM side holds it. */
export class UmemLink {
  readonly #server: PageServer;
  readonly #closed = new AbortController();
  readonly #seen = new Set<UmemState>();
  readonly #sightings = new Set<() => void>();
  #streams: UmemStreams | null = null;
  #events: UmemEvents | null = null;
  #umem: Umem;

  private constructor(server: PageServer, umem: Umem) {
    this.#server = server;
    this.#umem = umem;
  }

  /**
   * Creates the set; one that is left over from an earlier VM of the name and holds no guest's
   * memory is replaced.
   */
  static async create(server: PageServer, request: CreateUmemRequest): Promise<UmemLink> {
    try {
      return new UmemLink(server, await server.create(request));
    } catch (error) {
      if (!(error instanceof AlreadyExists)) throw error;
    }
    // Refused by the page server where a guest may still need it.
    await server.delete(request.name, { guestNeverRan: false });
    return new UmemLink(server, await server.create(request));
  }

  get name(): string {
    return this.#umem.name;
  }

  /** What the page server last said. */
  get umem(): Umem {
    return this.#umem;
  }

  /** Attaches as the VMM side; resolves when the page server has answered. Once. */
  async open(events: UmemEvents): Promise<void> {
    this.#events = events;
    await this.#attach();
  }

  /** Opens the set's lanes to the source; resolves when each was accepted. */
  async connect(to: LaneOrder, timeoutMs: number, signal: AbortSignal): Promise<void> {
    this.#saw(await this.#server.connect({ name: this.name, ...to }, timeoutMs, signal));
  }

  /** Resolves when the VMM has handed every block over. Rejects with the signal's reason. */
  handedOff(signal: AbortSignal): Promise<void> {
    return this.#sighted(HANDED_OFF_OR_LATER, signal);
  }

  /** Lets faults be answered; resolves when they are. Rejects with the signal's reason. */
  async arm(signal: AbortSignal): Promise<void> {
    if (!this.#streams) throw new PeerUnavailable(`${this.#server.peer} is lost: start the migration again`);
    this.#streams.ready();
    await this.#sighted(ARMED_OR_LATER, signal);
  }

  /** Agrees to the page server's QUIT; resolves with the set as it was released. */
  async release(): Promise<Umem> {
    this.#streams?.quit();
    const inTime = AbortSignal.timeout(RELEASE_TIMEOUT_MS);
    try {
      await this.#sighted([UmemState.RELEASED], AbortSignal.any([inTime, this.#closed.signal]));
    } catch (error) {
      if (inTime.aborted)
        throw new DeadlineExceeded(
          `Umem set "${this.name}" is ${UmemState[this.#umem.state]} ${RELEASE_TIMEOUT_MS} ms after its QUIT was answered`,
        );
      throw error;
    }
    return this.#umem;
  }

  /**
   * Attaches again after `onBroken`, for as long as it takes. Rejects with NotFound when the page
   * server has come back without the set, and with the reason given to `close`.
   */
  async reattach(): Promise<void> {
    for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)) {
      try {
        await this.#attach();
        return;
      } catch (error) {
        if (error instanceof NotFound) throw error;
        this.#closed.signal.throwIfAborted();
      }
      // Up to a quarter more, so that many VMs do not come back in one moment.
      await delay(waitMs * (1 + Math.random() / 4), undefined, { signal: this.#closed.signal, ref: false });
    }
  }

  /**
   * Whether pages are still to come, as the page server says now. What it answers before it has begun to
   * make memory plain is true. Rejects when it does not answer.
   */
  async isArriving(): Promise<boolean> {
    const { state } = await this.#server.get(this.name);
    return state !== UmemState.RESIDENT && state !== UmemState.RELEASED && state !== UmemState.FAILED;
  }

  /** Ends the set. See Umemd.DeleteUmem for what `guestNeverRan` vouches for. A set that is gone is fine. */
  async delete(vouch: { guestNeverRan: boolean }): Promise<void> {
    this.close();
    try {
      await this.#server.delete(this.name, vouch);
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
    }
  }

  /** Answers a TRIGGER_PAGE_FAULT. */
  touched(blockId: string, faulted: readonly number[], unmapped: readonly number[]): void {
    this.#streams?.touched('pageFaulted', blockId, faulted);
    this.#streams?.touched('pageUnmapped', blockId, unmapped);
  }

  /** Tells the page server that the VMM has gone, so that it serves it no longer. */
  vmmGone(): void {
    this.#streams?.quit();
  }

  /** Lets go of the set without ending it. Idempotent. */
  close(): void {
    this.#closed.abort(new PeerUnavailable(`The link to umem set "${this.name}" was closed`));
    this.#streams?.close();
    this.#streams = null;
  }

  /** Resolves with the first message of the set's watch, which shows that both streams are up. */
  #attach(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signal } = this.#closed;
      signal.throwIfAborted();
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      let isUp = false;
      this.#streams = new UmemStreams(this.#server, this.name, {
        onUmem: (umem) => {
          isUp = true;
          resolve();
          this.#saw(umem);
          this.#events?.onUmem(umem);
        },
        onReady: (state) => this.#sight(state),
        onTouch: (blockId, pgoffs) => this.#events?.onTouch(blockId, pgoffs),
        onQuit: () => this.#events?.onQuit(),
        onLoss: (message, missingPages) => this.#events?.onLoss(message, missingPages),
        onBroken: (error) => {
          this.#streams = null;
          if (isUp) this.#events?.onBroken(error);
          else reject(error);
        },
      });
    });
  }

  #saw(umem: Umem): void {
    this.#umem = umem;
    this.#sight(umem.state);
  }

  #sight(state: UmemState): void {
    this.#seen.add(state);
    for (const look of [...this.#sightings]) look();
  }

  /** Resolves once one of the states was seen, on whichever stream it came first. */
  #sighted(states: readonly UmemState[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (states.some((state) => this.#seen.has(state))) settle(resolve);
      };
      const abort = (): void => settle(() => reject(signal.reason as Error));
      const settle = (then: () => void): void => {
        this.#sightings.delete(look);
        signal.removeEventListener('abort', abort);
        then();
      };
      this.#sightings.add(look);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      else look();
    });
  }
}
