import { Worker } from 'node:worker_threads';
import { Internal } from '@umem/errors';
import type { PlacementListener } from '../place/batch-placer.js';
import type { UmemMemory } from '../place/umem-memory.js';
import type { DuplicatedTarget } from '../session/guest-memory.js';
import type { BackgroundWorkerData, FromWorker, ToWorker } from './background-messages.js';
import type { LaneLoss } from './lane-loss.js';
import type { LaneSettings } from './lane.js';

/** The compiled entry, wherever this file runs from: Node.js runs no TypeScript in threads. */
const WORKER = new URL('../../dist/receive/background-worker.js', import.meta.url);

/** What becomes of a lane that a worker holds. */
export interface BackgroundLaneListener {
  accepted(): void;
  lost(loss: LaneLoss): void;
  endOfStream(): void;
}

/** Told what a worker's placing brought about; `answered` with the time on our clock. */
export interface WorkerPlacementListener extends Omit<PlacementListener, 'answered' | 'placed'> {
  answered(blockId: string, range: { pgoff: number; pageCount: number }, atUs: number): void;
}

/**
 * A worker thread and the background lane it holds, seen from the main event loop. The thread outlives
 * the lane: after a loss, the next lane opens in it.
 */
export class BackgroundLane {
  readonly #worker: Worker;
  readonly #placement: WorkerPlacementListener;
  #lane = 0;
  #listener: BackgroundLaneListener | null = null;
  #finished: ((problem: string | null) => void) | null = null;
  #requestSent: (() => void) | null = null;

  constructor(memory: UmemMemory, placement: WorkerPlacementListener) {
    this.#placement = placement;
    const workerData: BackgroundWorkerData = { memory: memory.shared };
    this.#worker = new Worker(WORKER, { workerData });
    this.#worker.on('message', (message: FromWorker) => this.#handle(message));
    this.#worker.on('error', (cause) => {
      this.#finished?.('its thread has died');
      placement.broken(new Internal('A background worker thread died', { cause }));
    });
  }

  /** Opens a lane in the thread; one that was open is forgotten. */
  open(settings: LaneSettings, confirmPlaced: boolean, listener: BackgroundLaneListener): void {
    this.#lane++;
    this.#listener = listener;
    this.#post({ kind: 'open', lane: this.#lane, settings, confirmPlaced });
  }

  /** Tells the thread where the memory is: before the first `read`, and when it changes. The thread owns the descriptors. */
  giveMemory(target: DuplicatedTarget): void {
    this.#post({ kind: 'memory', target });
  }

  /** Lets pages flow. */
  read(): void {
    this.#post({ kind: 'read', lane: this.#lane });
  }

  /** Leaves pages unread (true) or reads them again. */
  pause(paused: boolean): void {
    this.#post({ kind: 'pause', lane: this.#lane, paused });
  }

  /** Asks for pages of one block; resolves when the lane takes more. */
  request(blockId: string, pgoffs: readonly number[]): Promise<void> {
    return new Promise((resolve) => {
      this.#requestSent = resolve;
      this.#post({ kind: 'request', lane: this.#lane, blockId, pgoffs });
    });
  }

  cancel(): void {
    this.#listener = null;
    this.#post({ kind: 'cancel', lane: this.#lane });
  }

  /** EOC; answers with what was not clean about the lane's end, null when all was. */
  finish(timeoutMs: number): Promise<string | null> {
    this.#listener = null;
    return new Promise((resolve) => {
      this.#finished = resolve;
      this.#post({ kind: 'finish', lane: this.#lane, timeoutMs });
    });
  }

  /** Ends the thread, which closes its descriptors. */
  exit(): void {
    this.#listener = null;
    this.#finished?.('its thread was ended');
    this.#post({ kind: 'exit' });
  }

  #handle(message: FromWorker): void {
    switch (message.kind) {
      case 'answered':
        return this.#placement.answered(message.blockId, message.range, message.atUs);
      case 'retry':
        return this.#placement.retry(message.pending);
      case 'complete':
        return this.#placement.complete();
      case 'gone':
        return this.#placement.gone(message.pending);
      case 'dropped':
        return this.#placement.dropped();
      case 'broken':
        return this.#placement.broken(new Internal(message.message));
      case 'accepted':
        return this.#listenerOf(message.lane)?.accepted();
      case 'lost':
        return this.#listenerOf(message.lane)?.lost(message.loss);
      case 'eos':
        return this.#listenerOf(message.lane)?.endOfStream();
      case 'finished':
        return message.lane === this.#lane ? this.#finished?.(message.problem) : undefined;
      case 'requestSent':
        return message.lane === this.#lane ? this.#requestSent?.() : undefined;
    }
  }

  /** Null for a lane that is no longer the newest, or that nobody listens to. */
  #listenerOf(lane: number): BackgroundLaneListener | null {
    return lane === this.#lane ? this.#listener : null;
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }
}
