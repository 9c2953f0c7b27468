import { IncomingState } from '@umem/api';
import type { StateTable } from '@umem/daemon';

/**
 * Where an incoming VM stands. These are the states of `umem.v1.IncomingState` and one that is not
 * seen outside, RESUMING.
 */
export type IncomingStage =
  /** RAM files and umem set exist; the VMM may be starting, lanes may be connecting. */
  | 'PREPARED'
  /** Lanes, handoff and QMP are there. Nothing is left that could fail before the freeze. */
  | 'CONNECTED'
  /** The umem set is armed and the VMM reads device state. */
  | 'LOADING'
  /** Device state is in the VMM; the guest waits for the word. */
  | 'LOADED'
  /**
   * The word has come and its answer is out. From here on the guest may have run: no clean-up.
   * Seen from outside this is LOADED, for nobody can say more yet.
   */
  | 'RESUMING'
  /** The guest runs here; pages are still coming. */
  | 'RESUMED'
  /** Every page is here and the memory is plain. */
  | 'COMPLETED'
  /** It broke. Before RESUMING the guest lost nothing; after it the guest is stopped. */
  | 'FAILED';

/**
 * Abort is legal only before RESUMING: every stage before it may become FAILED by clean-up, and
 * RESUMING is entered in the same turn in which LOADED is checked, so that one of the two wins.
 */
export const INCOMING_TABLE: StateTable<IncomingStage> = {
  PREPARED: ['CONNECTED', 'FAILED'],
  CONNECTED: ['LOADING', 'FAILED'],
  LOADING: ['LOADED', 'FAILED'],
  LOADED: ['RESUMING', 'FAILED'],
  RESUMING: ['RESUMED', 'FAILED'],
  RESUMED: ['COMPLETED', 'FAILED'],
  COMPLETED: [],
  FAILED: [],
};

/** Stages in which the guest has not run and everything can be undone. */
export const BEFORE_RESUME = [
  'PREPARED',
  'CONNECTED',
  'LOADING',
  'LOADED',
] as const satisfies IncomingStage[];

/** The stage as it travels. */
export function toIncomingState(stage: IncomingStage): IncomingState {
  return stage === 'RESUMING' ? IncomingState.LOADED : IncomingState[stage];
}
