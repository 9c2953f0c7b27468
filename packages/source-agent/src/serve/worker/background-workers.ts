import { rm } from 'node:fs/promises';
import type { Address } from '@umem/api';
import type { Logger } from '@umem/daemon';
import type { PageRange } from '@umem/ram';
import { events } from '../../events.js';
import type { LaneGate } from '../lane-gate.js';
import type { InheritedSocket } from '../inherited-lanes.js';
import type { PeerShare, Phase, SessionListener } from '../serve-session.js';
import type { SessionSnapshot, ToWorker } from './messages.js';
import { WorkerThread } from './worker-thread.js';

export interface BackgroundWorkersSettings {
  readonly count: number;
  /** Where the first listens; the others on the next ports, or on `<path>.1`, `<path>.2` … */
  readonly listen: Address;
  readonly gate: LaneGate;
  readonly log: Logger;
}

/** A session as the pool keeps it, to tell it to a thread that is started anew. */
interface KeptSession {
  snapshot: SessionSnapshot;
  readonly listener: SessionListener;
}

/** The worker threads for background lanes. Every session is open on all of them. */
export class BackgroundWorkers {
  readonly #settings: BackgroundWorkersSettings;
  readonly #threads: { thread: WorkerThread; readonly address: Address }[] = [];
  readonly #sessions = new Map<string, KeptSession>();
  #stopped = false;

  private constructor(settings: BackgroundWorkersSettings) {
    this.#settings = settings;
  }

  /** Resolves when all threads listen; rejects when one cannot. */
  static async start(settings: BackgroundWorkersSettings): Promise<BackgroundWorkers> {
    const workers = new BackgroundWorkers(settings);
    try {
      for (let i = 0; i < settings.count; i++) await workers.#startThread(i, nthAddress(settings.listen, i));
    } catch (error) {
      await workers.stop();
      throw error;
    }
    return workers;
  }

  /** Where lanes may be opened, one per thread. */
  get addresses(): Address[] {
    return this.#threads.map(({ address }) => address);
  }

  /** Resolves when all threads have mapped the RAM; rejects when one cannot. */
  async open(snapshot: SessionSnapshot, listener: SessionListener): Promise<void> {
    this.#sessions.set(snapshot.share.migrationId, { snapshot, listener });
    await this.#call({ type: 'open', session: snapshot });
  }

  async addPeer(migrationId: string, peer: PeerShare): Promise<void> {
    this.#change(migrationId, (snapshot) => ({ ...snapshot, peers: [...snapshot.peers, peer] }));
    await this.#call({ type: 'addPeer', migrationId, peer });
  }

  enter(migrationId: string, phase: Phase): void {
    this.#change(migrationId, (snapshot) => ({ ...snapshot, phase }));
    this.#tell({ type: 'enter', migrationId, phase });
  }

  pump(migrationId: string, peer: number): void {
    this.#tell({ type: 'pump', migrationId, peer });
  }

  /** Every session's threads share its bucket; who waits for it must look again. */
  rateChanged(migrationId: string): void {
    this.#tell({ type: 'rateChanged', migrationId });
  }

  /** Lets the threads by turns serve connected sockets, which they own from then on. */
  serve(sockets: readonly InheritedSocket[]): void {
    for (const [i, socket] of sockets.entries())
      this.#threads[i % this.#threads.length]?.thread.tell({ type: 'serve', ...socket });
  }

  /** Frees pages of a RAM file on one of the threads. Rejects with NativeError's status. */
  async punch(migrationId: string, block: number, ranges: readonly PageRange[]): Promise<void> {
    await this.#threads[0]?.thread.call({ type: 'punch', migrationId, block, ranges });
  }

  /** Resolves when all threads have let go of the RAM. */
  async close(migrationId: string): Promise<void> {
    this.#sessions.delete(migrationId);
    // A thread that has died has let go as well.
    await Promise.allSettled(this.#threads.map(({ thread }) => thread.call({ type: 'close', migrationId })));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#threads.map(({ thread }) => thread.stop()));
  }

  async #startThread(index: number, listen: Address): Promise<void> {
    // The state directory is this process's alone: what lies there is left over.
    if (listen.kind === 'unix') await rm(listen.path, { force: true });
    const started = await WorkerThread.start(listen, {
      gate: this.#settings.gate,
      listenerOf: (migrationId) => this.#sessions.get(migrationId)?.listener,
      onConnectionEnded: (fd) => this.#settings.log.event(events.inheritedEnded, { fd }),
      onFailure: (error) => this.#settings.log.event(events.workerReportFailed, { worker: index, error }),
      onDied: (error) => void this.#restart(index, error),
    });
    this.#threads[index] = started;
    for (const { snapshot } of this.#sessions.values())
      await started.thread.call({ type: 'open', session: snapshot });
  }

  /** A thread died: page servers connect again to the same address. */
  async #restart(index: number, error: unknown): Promise<void> {
    const { log, listen } = this.#settings;
    log.event(events.workerDied, { worker: index, error });
    if (this.#stopped) return;
    try {
      await this.#startThread(index, this.#threads[index]?.address ?? nthAddress(listen, index));
      log.event(events.workerRestarted, { worker: index });
    } catch (failure) {
      log.event(events.workerNotRestarted, { worker: index, error: failure });
    }
  }

  #change(migrationId: string, change: (snapshot: SessionSnapshot) => SessionSnapshot): void {
    const kept = this.#sessions.get(migrationId);
    if (kept) kept.snapshot = change(kept.snapshot);
  }

  async #call(message: ToWorker): Promise<void> {
    await Promise.all(this.#threads.map(({ thread }) => thread.call(message)));
  }

  #tell(message: ToWorker): void {
    for (const { thread } of this.#threads) thread.tell(message);
  }
}

function nthAddress(address: Address, n: number): Address {
  if (n === 0) return address;
  if (address.kind === 'unix') return { ...address, path: `${address.path}.${n}` };
  return { ...address, port: address.port === 0 ? 0 : address.port + n };
}
