import { setTimeout as delay } from 'node:timers/promises';
import { IncomingState, type Incoming } from '@umem/api';
import { DeadlineExceeded, HostPrecondition, Internal, messageOf, PeerUnavailable } from '@umem/errors';
import type { Destination } from './destination.js';
import type { Failure } from './migration.js';
import { toOutcome } from './postcopy-follower.js';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

/** Times that a destination which could resume may refuse to, before it is asked to give the guest up. */
const MAX_REFUSALS = 5;

/** What helps to find out whether the guest runs. */
export interface ResumeSignals {
  /** The page server has said EOC: the guest has run and needs nothing more. */
  hasEoc(): boolean;
  /** Told what is being waited for. */
  onActivity(activity: string): void;
}

/** What became of the guest on the destination. */
export type ResumeOutcome =
  | { readonly kind: 'running' }
  /** It never ran there and never will: the destination has said so, and the source may run it again. */
  | { readonly kind: 'refused'; readonly error: Error }
  /** It may have run, and does not: nobody may run it again. */
  | { readonly kind: 'failed'; readonly failure: Failure };

/**
 * Runs the guest on the destination, past the point of no return: asks until it is known what became
 * of it, however long that takes.
 */
export async function resumeDestination(
  destination: Destination,
  signals: ResumeSignals,
): Promise<ResumeOutcome> {
  for (let refusals = 0; ;) {
    try {
      await destination.resume();
      return { kind: 'running' };
    } catch (error) {
      if (!isUnclear(error)) refusals++;
      signals.onActivity('Asking the destination whether the guest runs there');
      const incoming = await ask(destination, signals);
      if (incoming === 'eoc') return { kind: 'running' };
      if (incoming === null) return failed(destination, error, 'it does not know the VM any more');
      const { state, guestRecoverable } = incoming;
      if (state === IncomingState.RESUMED || state === IncomingState.COMPLETED) return { kind: 'running' };
      if (state === IncomingState.FAILED)
        return (guestRecoverable ? refused : failed)(destination, error, incoming.error);
      if (refusals >= MAX_REFUSALS && (await gaveUp(destination, signals)))
        return refused(destination, error, `it was refused ${refusals} times`);
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

/** True when the destination has thrown the guest away, which it refuses once it has run. */
async function gaveUp(destination: Destination, signals: ResumeSignals): Promise<boolean> {
  try {
    await destination.giveUp('it refuses to resume the guest');
    return true;
  } catch (error) {
    signals.onActivity(`Asking the destination to give the guest up: ${messageOf(error)}`);
    await delay(FIRST_RETRY_MS);
    return false;
  }
}

/** The answer was lost, so that the call may have had its effect. */
function isUnclear(error: unknown): boolean {
  return error instanceof PeerUnavailable || error instanceof DeadlineExceeded;
}

function refused({ address }: Destination, cause: unknown, why: string): ResumeOutcome {
  const message = `The destination ${address} gave the guest up before it ran there: ${why}`;
  return { kind: 'refused', error: new HostPrecondition(message, { reason: 'RESUME_REFUSED', cause }) };
}

function failed({ address }: Destination, cause: unknown, why: string): ResumeOutcome {
  const message = `The destination ${address} did not resume the guest: ${why}`;
  const error = new Internal(message, { reason: 'RESUME_FAILED', cause });
  return { kind: 'failed', failure: { error, guestRecoverable: false, outcome: toOutcome(false) } };
}
