import type { ServerDuplexStream } from '@grpc/grpc-js';
import {
  allocateBatchBuffer,
  toServiceError,
  type Malformed,
  type OutgoingBatch,
  type OutgoingReply,
  type UmemRequest,
} from '@umem/api';
import { TARGET_PAGE_SIZE } from '@umem/ram';
import { MAX_PAGES_PER_ADD } from '../ram/batch-builder.js';

/** A `Serve` call as the source holds it. */
export type LaneCall = ServerDuplexStream<UmemRequest | Malformed, OutgoingReply>;

/**
 * The sending half of a lane. It counts what the peer's flow control has not let through yet, so
 * that its owner stops reading pages for a peer that does not read them, and reuses batch buffers
 * once gRPC has copied them.
 */
export class LaneWriter {
  readonly #call: LaneCall;
  readonly #onRoom: () => void;
  readonly #spare: Buffer[] = [];
  #inFlight = 0;

  /** `onRoom` is called after each reply that has left. */
  constructor(call: LaneCall, onRoom: () => void) {
    this.#call = call;
    this.#onRoom = onRoom;
  }

  /** Replies that were given to gRPC and have not left. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** A buffer for a batch with up to MAX_PAGES_PER_ADD RAW pages; `send` takes it back. */
  takeBuffer(): Buffer {
    return this.#spare.pop() ?? allocateBatchBuffer(MAX_PAGES_PER_ADD * TARGET_PAGE_SIZE);
  }

  send(batch: OutgoingBatch): void {
    this.#write(batch, () => this.#spare.push(batch.buffer));
  }

  sendEos(): void {
    this.#write({ eos: true }, () => {});
  }

  /** Ends the lane with OK after everything that was sent. */
  end(): void {
    this.#call.end();
  }

  /**
   * Ends the lane with the status of `error`, after everything that was sent. Not `destroy(error)`:
   * grpc-js then never sends the status and the client waits for ever.
   */
  fail(error: unknown): void {
    fail(this.#call, error);
  }

  #write(reply: OutgoingReply, left: () => void): void {
    this.#inFlight++;
    this.#call.write(reply, (error?: Error | null) => {
      this.#inFlight--;
      // A write error means that the call is over, which its owner hears as 'cancelled'.
      if (error) return;
      left();
      this.#onRoom();
    });
  }
}

/** Ends a call with the status of `error`. */
export function fail(call: LaneCall, error: unknown): void {
  call.emit('error', Object.assign(new Error(), toServiceError(error)));
}
