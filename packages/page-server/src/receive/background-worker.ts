// Entry of a background worker thread: one background lane at a time, received and placed here so that
// no bulk ever stands before a demand page on the main event loop.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { BACKGROUND_CHANNEL, toPageListRequests } from '@umem/api';
import { Internal, messageOf } from '@umem/errors';
import { native, type NativeUserfaultfd } from '@umem/native';
import { monotonicUs } from '../fault/clock.js';
import { RegionMap } from '../handoff/region-map.js';
import { BatchPlacer, type PlacementListener } from '../place/batch-placer.js';
import { forgetPlaced } from '../place/own-mapping.js';
import { detachPending } from '../place/pending.js';
import { Placer } from '../place/placer.js';
import { UmemMemory } from '../place/umem-memory.js';
import type { BackgroundWorkerData, FromWorker, ToWorker } from './background-messages.js';
import type { DuplicatedTarget } from '../session/guest-memory.js';
import { toBadBatch } from './lane-loss.js';
import { Lane, type LaneSettings } from './lane.js';
import { PlacedConfirmer } from './placed-confirmer.js';
import { ReplyReceiver } from './reply-receiver.js';

class BackgroundWorker {
  readonly #memory: UmemMemory;
  readonly #port: MessagePort;
  readonly #confirmer = new PlacedConfirmer();
  #uffds: NativeUserfaultfd[] = [];
  #placer: BatchPlacer | null = null;
  #lane: Lane | null = null;
  #laneNumber = 0;
  #laneName = '';

  constructor(data: BackgroundWorkerData, port: MessagePort) {
    this.#memory = UmemMemory.share(data.memory);
    this.#port = port;
    port.on('message', (message: ToWorker) => this.#handle(message));
  }

  #handle(message: ToWorker): void {
    if (message.kind === 'exit') return this.#exit();
    if (message.kind === 'memory') return this.#takeMemory(message.target);
    if (message.kind === 'open') return this.#open(message.lane, message.settings, message.confirmPlaced);
    const lane = this.#lane;
    // The lane was lost while the message was on its way: the main event loop hears of that itself.
    if (message.lane !== this.#laneNumber || !lane) return;
    switch (message.kind) {
      case 'read':
        return this.#read(lane);
      case 'pause':
        return lane.pause(message.paused);
      case 'request':
        return this.#request(lane, message.blockId, message.pgoffs);
      case 'cancel':
        return lane.cancel();
      case 'finish':
        this.#confirmer.flush();
        void lane
          .finish(message.timeoutMs)
          .then((problem) => this.#post({ kind: 'finished', lane: message.lane, problem }));
    }
  }

  #takeMemory({ regions, uffds, forget }: DuplicatedTarget): void {
    for (const uffd of this.#uffds) uffd.close();
    this.#uffds = uffds.map((fd) => native.adoptUserfaultfd(fd));
    const map = new RegionMap(regions);
    const placer = new Placer({ map, uffds: this.#uffds, afterPlacing: forget ? forgetPlaced : null });
    this.#placer = new BatchPlacer(this.#memory, placer, this.#memory.gate, this.#listener());
  }

  #open(number: number, settings: LaneSettings, confirmPlaced: boolean): void {
    if (confirmPlaced) this.#confirmer.enable();
    this.#confirmer.detach();
    this.#lane?.cancel();
    this.#laneNumber = number;
    this.#laneName = settings.lane;
    this.#lane = new Lane(settings, BACKGROUND_CHANNEL, {
      accepted: () => this.#post({ kind: 'accepted', lane: number }),
      lost: (loss) => this.#post({ kind: 'lost', lane: number, loss }),
    });
  }

  #read(lane: Lane): void {
    const number = this.#laneNumber;
    this.#confirmer.attach(lane);
    const receiver = new ReplyReceiver(this.#memory, () => this.#requirePlacer(), 'backgroundPages', {
      endOfStream: () => this.#post({ kind: 'eos', lane: number }),
      badReply: (error) => {
        lane.cancel();
        this.#post({ kind: 'lost', lane: number, loss: toBadBatch(this.#laneName, error) });
      },
    });
    lane.read((reply) => receiver.receive(reply));
  }

  #requirePlacer(): BatchPlacer {
    if (!this.#placer) throw new Internal('A lane cannot be read before the memory is known');
    return this.#placer;
  }

  #request(lane: Lane, blockId: string, pgoffs: readonly number[]): void {
    const number = this.#laneNumber;
    let writable = true;
    for (const request of toPageListRequests('background', blockId, pgoffs)) writable = lane.write(request);
    const sent = (): void => this.#post({ kind: 'requestSent', lane: number });
    if (writable) sent();
    else lane.onDrain(sent);
  }

  #listener(): PlacementListener {
    return {
      answered: (blockId, range) => this.#post({ kind: 'answered', blockId, range, atUs: monotonicUs() }),
      placed: (blockId, range) => this.#confirmer.add(blockId, range),
      retry: (pending) => this.#post({ kind: 'retry', pending: detachPending(pending) }),
      gone: (pending) => this.#post({ kind: 'gone', pending: detachPending(pending) }),
      dropped: () => this.#post({ kind: 'dropped' }),
      complete: () => this.#post({ kind: 'complete' }),
      broken: (error) => this.#post({ kind: 'broken', message: messageOf(error) }),
    };
  }

  #exit(): void {
    this.#confirmer.detach();
    this.#lane?.cancel();
    for (const uffd of this.#uffds) uffd.close();
    this.#port.close();
  }

  #post(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

if (!parentPort) throw new Internal('background-worker.js runs as a worker thread only');
new BackgroundWorker(workerData as BackgroundWorkerData, parentPort);
