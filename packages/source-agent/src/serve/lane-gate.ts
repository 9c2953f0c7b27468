import type { LaneOffer } from './init-check.js';

/** Ends a lane from outside, with OK or an error's status; resolves when it claims no more pages. */
export type EndLane = (error: unknown) => Promise<void>;

/** A lane that was let in. */
export interface LanePass {
  /** The lane is over: with what was wrong, or null. Idempotent. */
  release(error: unknown): void;
}

/**
 * Decides which lanes a migration may have. One object decides for all threads, so that generations
 * and limits hold across them; worker threads ask it by message.
 */
export interface LaneGate {
  /** Rejects with StaleSession or Overloaded. */
  admit(migrationId: string, peer: number, offer: LaneOffer, end: EndLane): Promise<LanePass>;
}
