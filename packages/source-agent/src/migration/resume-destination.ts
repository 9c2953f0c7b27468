import { setTimeout as delay } from 'node:timers/promises';
import { IncomingState, type Incoming } from '@umem/api';
import { DeadlineExceeded, Internal, messageOf, PeerUnavailable } from '@umem/errors';
import type { Destination } from './destination.js';
import type { Failure } from './migration.js';
import { toOutcome } from './postcopy-follower.js';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

/** Times that a destination which could resume may refuse to. */
const MAX_REFUSALS = 5;

/** What helps to find out whether the guest runs. */
export interface ResumeSignals {
  /** The page server has said EOC: the guest has run and needs nothing more. */
  hasEoc(): boolean;
  /** Told what is being waited for. */
  onActivity(activity: string): void;
}

/**
 * Runs the guest on the destination, past the point of no return: asks until it is known what became
 * of it, however long that takes. Null when the guest runs there.
 */
export async function resumeDestination(
  destination: Destination,
  signals: ResumeSignals,
): Promise<Failure | null> {
  for (let refusals = 0; ;) {
    try {
      await destination.resume();
      return null;
    } catch (error) {
      if (!isUnclear(error)) refusals++;
      signals.onActivity('Asking the destination whether the guest runs there');
      const incoming = await ask(destination, signals);
      if (incoming === 'eoc') return null;
      if (incoming === null) return toFailure(destination, error, 'it does not know the VM any more', false);
      if (incoming.state === IncomingState.RESUMED || incoming.state === IncomingState.COMPLETED) return null;
      if (incoming.state === IncomingState.FAILED)
        return toFailure(destination, error, incoming.error, incoming.guestRecoverable);
      if (refusals >= MAX_REFUSALS)
        return toFailure(destination, error, `it was refused ${refusals} times`, incoming.guestRecoverable);
    }
  }
}

/** The incoming VM, as soon as the destination can be reached; null when it does not know it. */
async function ask(destination: Destination, signals: ResumeSignals): Promise<Incoming | 'eoc' | null> {
  for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(LAST_RETRY_MS, retryMs * 2)) {
    if (signals.hasEoc()) return 'eoc';
    try {
      return await destination.find();
    } catch (error) {
      signals.onActivity(`Asking the destination whether the guest runs there: ${messageOf(error)}`);
      await delay(retryMs * (0.5 + Math.random()));
    }
  }
}

/** The answer was lost, so that the call may have had its effect. */
function isUnclear(error: unknown): boolean {
  return error instanceof PeerUnavailable || error instanceof DeadlineExceeded;
}

function toFailure(
  destination: Destination,
  cause: unknown,
  why: string,
  guestRecoverable: boolean,
): Failure {
  return {
    error: new Internal(`The destination ${destination.address} did not resume the guest: ${why}`, {
      reason: 'RESUME_FAILED',
      cause,
    }),
    guestRecoverable,
    outcome: toOutcome(guestRecoverable),
  };
}
