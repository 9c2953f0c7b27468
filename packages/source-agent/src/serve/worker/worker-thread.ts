import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { formatAddress, type Address } from '@umem/api';
import { HostPrecondition, Internal, messageOf } from '@umem/errors';
import type { LaneGate, LanePass } from '../lane-gate.js';
import type { SessionListener } from '../serve-session.js';
import type { FromWorker, ToWorker, WorkerStart } from './messages.js';
import { ThreadCalls } from './thread-calls.js';
import { fromWireError, toWireError } from './wire-error.js';

// By the package's own name, so that it is found from wherever this file runs.
const ENTRY = createRequire(import.meta.url).resolve('@umem/source-agent/background-worker');

/** Where a worker's messages go. */
export interface WorkerOwner {
  readonly gate: LaneGate;
  /** What a session's lanes on the worker report. */
  listenerOf(migrationId: string): SessionListener | undefined;
  /** A connection that a thread was told to serve is over. */
  onConnectionEnded(inherited: number): void;
  /** Something the thread reported could not be dealt with. */
  onFailure(error: unknown): void;
  /** The thread ended although nobody told it to. */
  onDied(error: unknown): void;
}

/** Milliseconds that a thread has to let go of everything. */
const STOP_TIMEOUT_MS = 5_000;
/** `threadId` of a thread that has ended. */
const ENDED = -1;

/** One worker thread that serves background lanes on its own address, as the main thread sees it. */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #owner: WorkerOwner;
  readonly #calls: ThreadCalls<ToWorker, FromWorker>;
  readonly #passes = new Map<number, LanePass>();
  readonly #listening: Promise<number>;
  #onListening: (port: number) => void = () => {};
  #stopping = false;

  private constructor(address: Address, owner: WorkerOwner) {
    this.#owner = owner;
    const start: WorkerStart = { address: formatAddress(address) };
    this.#worker = new Worker(ENTRY, { workerData: start });
    this.#calls = new ThreadCalls(this.#worker, (message) => this.#obey(message), owner.onFailure);
    this.#listening = new Promise((resolve, reject) => {
      this.#onListening = resolve;
      this.#worker.once('error', reject);
      this.#worker.once('exit', (code) => reject(new Internal(`The worker thread ended with code ${code}`)));
    });
  }

  /** Starts a thread; answers when it listens, with the address as bound. Rejects with HostPrecondition. */
  static async start(
    address: Address,
    owner: WorkerOwner,
  ): Promise<{ thread: WorkerThread; address: Address }> {
    const thread = new WorkerThread(address, owner);
    const port = await thread.#listening.catch((cause: unknown) => {
      const text = formatAddress(address);
      throw new HostPrecondition(
        `Cannot serve background lanes on ${text}: ${messageOf(cause)}; stop what uses the address or choose another --background-listen`,
      );
    });
    // Only from here on is its end a surprise to its owner; before, it is the failure to start.
    let cause: unknown;
    thread.#worker.once('error', (error) => (cause = error));
    thread.#worker.once('exit', (code) => {
      thread.#ended(new Internal(`A background worker thread ended with code ${code}`, { cause }));
    });
    return { thread, address: address.kind === 'tcp' ? { ...address, port } : address };
  }

  /** Resolves when the thread has done it. */
  call(message: ToWorker): Promise<void> {
    return this.#calls.call(message);
  }

  tell(message: ToWorker): void {
    this.#calls.tell(message);
  }

  /**
   * Resolves when the thread has ended. It ends by itself: Node 20 aborts the whole process when a thread
   * is terminated while HTTP/2 frames arrive there ("onread->IsFunction()", stream_base.cc). Only one that
   * hangs is terminated, and its owner told.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#worker.threadId === ENDED) return;
    const ended = once(this.#worker, 'exit');
    this.#calls.tell({ type: 'stop' });
    const hung = setTimeout(() => {
      this.#owner.onFailure(
        new Internal(
          `A background worker thread did not end within ${STOP_TIMEOUT_MS} ms and was terminated`,
        ),
      );
      void this.#worker.terminate();
    }, STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(hung);
  }

  async #obey(message: FromWorker): Promise<void> {
    switch (message.type) {
      case 'listening':
        return this.#onListening(message.port);
      case 'admit':
        return this.#admit(message);
      case 'release':
        return this.#release(message.lane, message.error === null ? null : fromWireError(message.error));
      case 'allSent':
        return this.#owner.listenerOf(message.migrationId)?.onAllSent(message.peer);
      case 'eoc':
        return this.#owner.listenerOf(message.migrationId)?.onEoc(message.peer);
      case 'connectionEnded':
        return this.#owner.onConnectionEnded(message.inherited);
      case 'placed':
        return this.#owner
          .listenerOf(message.migrationId)
          ?.onPlaced(message.peer, message.block, message.ranges);
    }
  }

  async #admit({ lane, migrationId, peer, offer }: Extract<FromWorker, { type: 'admit' }>): Promise<void> {
    const end = async (error: unknown): Promise<void> => {
      const wire = error === null ? null : toWireError(error);
      // A thread that has ended has no lanes: they are over either way.
      await this.#calls.call({ type: 'endLane', lane, error: wire }).catch(() => {});
    };
    this.#passes.set(lane, await this.#owner.gate.admit(migrationId, peer, offer, end));
  }

  #release(lane: number, error: unknown): void {
    this.#passes.get(lane)?.release(error);
    this.#passes.delete(lane);
  }

  #ended(error: Error): void {
    this.#calls.close(error);
    for (const lane of [...this.#passes.keys()]) this.#release(lane, error);
    if (!this.#stopping) this.#owner.onDied(error);
  }
}
