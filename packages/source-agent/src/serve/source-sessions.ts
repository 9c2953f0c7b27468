import type { Address, LaneServer } from '@umem/api';
import type { Logger } from '@umem/daemon';
import { NotFound } from '@umem/errors';
import type { InheritedSocket } from './inherited-lanes.js';
import type { LaneOffer } from './init-check.js';
import type { EndLane, LaneGate, LanePass } from './lane-gate.js';
import { createPageSource } from './page-source.js';
import { ServeSessions } from './serve-session.js';
import { SourceSession, type SourceSessionSettings } from './source-session.js';
import { BackgroundWorkers } from './worker/background-workers.js';

export interface SourceSessionsSettings {
  /** Per page server, the demand lane included. */
  readonly maxLanes: number;
  /** Whether the background goes to where the newest faults are. */
  readonly followsFaults: boolean;
  /** Worker threads for background lanes. */
  readonly workers: number;
  /** Where the first worker listens. */
  readonly workerListen: Address;
  readonly log: Logger;
}

/** What is special about one session. */
export type OpenSession = Pick<
  SourceSessionSettings,
  'migrationId' | 'blocks' | 'bytesPerSecond' | 'releasesRam' | 'listener'
>;

/** All migrations whose pages this agent serves, and the threads that serve them. */
export class SourceSessions implements LaneGate {
  /** `PageSource` on the agent's own address: lanes of every kind. */
  readonly laneServer: LaneServer;
  readonly #settings: SourceSessionsSettings;
  readonly #local = new ServeSessions();
  readonly #open = new Map<string, SourceSession>();
  #workers: BackgroundWorkers | null = null;

  private constructor(settings: SourceSessionsSettings) {
    this.#settings = settings;
    this.laneServer = createPageSource(this.#local, this);
  }

  /** Starts the worker threads. */
  static async start(settings: SourceSessionsSettings): Promise<SourceSessions> {
    const sessions = new SourceSessions(settings);
    const { workers: count, workerListen: listen, log } = settings;
    sessions.#workers = await BackgroundWorkers.start({ count, listen, gate: sessions, log });
    return sessions;
  }

  /** Where background lanes may be opened, one per worker. */
  get workerAddresses(): Address[] {
    return this.#workers?.addresses ?? [];
  }

  /** Lets the workers serve connected sockets, which they own from then on. */
  serveInWorkers(sockets: readonly InheritedSocket[]): void {
    this.#workers?.serve(sockets);
  }

  /** Sessions that are open. */
  list(): SourceSession[] {
    return [...this.#open.values()];
  }

  /** Opens a session; from now on its lanes are let in. Close it with `close`. */
  async open(one: OpenSession): Promise<SourceSession> {
    const { maxLanes, followsFaults, log } = this.#settings;
    if (!this.#workers) throw new TypeError('The sessions have not been started');
    const workers = this.#workers;
    const session = await SourceSession.open({ ...one, maxLanes, followsFaults, workers, log });
    this.#open.set(one.migrationId, session);
    this.#local.add(session.local);
    return session;
  }

  /** Ends a session's lanes with OK (null) or the status of `error`, and lets go of its RAM. */
  async close(session: SourceSession, error: unknown): Promise<void> {
    this.#local.remove(session.local);
    await session.close(error);
    this.#open.delete(session.migrationId);
  }

  admit(migrationId: string, peer: number, offer: LaneOffer, end: EndLane): Promise<LanePass> {
    const session = this.#open.get(migrationId);
    if (!session) return Promise.reject(new NotFound(`Migration ${migrationId} is over`));
    return session.registry.admit(migrationId, peer, offer, end);
  }

  /** Ends everything with the status of `error`. */
  async stop(error: unknown): Promise<void> {
    await Promise.all(this.list().map((session) => this.close(session, error)));
    await this.#workers?.stop();
  }
}
