import type { IncomingReply } from '@umem/api';
import { InvalidArgument } from '@umem/errors';
import type { BatchPlacer } from '../place/batch-placer.js';
import type { ArrivalCounter } from '../place/pending.js';
import type { UmemMemory } from '../place/umem-memory.js';
import { checkBatch, type CheckedBatch } from './batch-check.js';

export interface ReplyListener {
  /** The source has nothing more to push. */
  endOfStream(): void;
  /** A reply made no sense and nothing of it was placed: the lane must end. */
  badReply(error: unknown): void;
}

/**
 * What a lane does with each reply: count it, check it, place it. Runs where the lane runs: demand on
 * the main event loop, background in a worker thread.
 */
export class ReplyReceiver {
  readonly #memory: UmemMemory;
  readonly #placer: () => BatchPlacer;
  readonly #countAs: ArrivalCounter;
  readonly #listener: ReplyListener;

  constructor(
    memory: UmemMemory,
    placer: () => BatchPlacer,
    countAs: ArrivalCounter,
    listener: ReplyListener,
  ) {
    this.#memory = memory;
    this.#placer = placer;
    this.#countAs = countAs;
    this.#listener = listener;
  }

  receive(message: IncomingReply): void {
    this.#memory.counters.add('wireBytes', message.messageBytes);
    let batch: CheckedBatch | 'eos';
    try {
      batch = check(message, this.#memory);
    } catch (error) {
      return this.#listener.badReply(error);
    }
    if (batch === 'eos') this.#listener.endOfStream();
    else this.#placer().place(batch, this.#countAs);
  }
}

function check(message: IncomingReply, { blocks }: UmemMemory): CheckedBatch | 'eos' {
  if ('malformed' in message) throw new InvalidArgument(`It is not a UmemReply: ${message.malformed}`);
  switch (message.reply?.$case) {
    case 'pages':
      return checkBatch(message.reply.value, blocks);
    case 'eos':
      return 'eos';
    default:
      throw new InvalidArgument('reply is not set, or unknown');
  }
}
