import type { StateTable } from '@umem/daemon';

/**
 * Where a umem set stands.
 *
 * - AWAITING_HANDOFF: the handoff socket listens; not every block has a userfaultfd.
 * - HANDED_OFF: every block has one; faults are parked and no page is placed.
 * - ARMED: faults are answered.
 * - DETACHED: no lane to the source; faults wait and nothing is dropped.
 * - RECOVERING: lanes are connecting again, with what has arrived.
 * - RESIDENT: every page is there; ranges are unregistered, EOC is sent.
 * - RELEASED: plain memory; the page server has let go.
 * - FAILED: it cannot be mended; what is missing stays missing and is never read as zeros.
 */
export type UmemStateName =
  | 'AWAITING_HANDOFF'
  | 'HANDED_OFF'
  | 'ARMED'
  | 'DETACHED'
  | 'RECOVERING'
  | 'RESIDENT'
  | 'RELEASED'
  | 'FAILED';

/** The last page can settle while lanes are away: it was on its way to memory, or the guest gave it up. */
export const UMEM_STATES: StateTable<UmemStateName> = {
  AWAITING_HANDOFF: ['HANDED_OFF', 'FAILED'],
  HANDED_OFF: ['ARMED', 'FAILED'],
  ARMED: ['DETACHED', 'RESIDENT', 'FAILED'],
  DETACHED: ['RECOVERING', 'RESIDENT', 'FAILED'],
  RECOVERING: ['ARMED', 'DETACHED', 'RESIDENT', 'FAILED'],
  RESIDENT: ['RELEASED', 'FAILED'],
  RELEASED: [],
  FAILED: [],
};

/** States in which the guest may run while pages are missing. */
export const GUEST_MAY_RUN: readonly UmemStateName[] = ['ARMED', 'DETACHED', 'RECOVERING'];

/** States before the first page is placed. */
export const BEFORE_ARMED: readonly UmemStateName[] = ['AWAITING_HANDOFF', 'HANDED_OFF'];
