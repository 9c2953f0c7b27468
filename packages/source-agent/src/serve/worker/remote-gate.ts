import type { LaneOffer } from '../init-check.js';
import type { EndLane, LaneGate, LanePass } from '../lane-gate.js';
import type { FromWorker, ToWorker } from './messages.js';
import type { ThreadCalls } from './thread-calls.js';
import { fromWireError, toWireError, type WireError } from './wire-error.js';

/** A worker's gate: asks the main thread. */
export class RemoteGate implements LaneGate {
  readonly #ends = new Map<number, EndLane>();
  #next = 1;

  constructor(private readonly main: () => ThreadCalls<FromWorker, ToWorker>) {}

  async admit(migrationId: string, peer: number, offer: LaneOffer, end: EndLane): Promise<LanePass> {
    const lane = this.#next++;
    // Known before the answer comes: a lane can become stale while it is being let in.
    this.#ends.set(lane, end);
    try {
      await this.main().call({ type: 'admit', lane, migrationId, peer, offer });
    } catch (error) {
      this.#ends.delete(lane);
      throw error;
    }
    return {
      release: (error) => {
        if (this.#ends.delete(lane))
          this.main().tell({ type: 'release', lane, error: error === null ? null : toWireError(error) });
      },
    };
  }

  /** The main thread ends a lane. A lane that ended by itself in the meantime is no error. */
  async endLane(lane: number, error: WireError | null): Promise<void> {
    await this.#ends.get(lane)?.(error === null ? null : fromWireError(error));
  }
}
