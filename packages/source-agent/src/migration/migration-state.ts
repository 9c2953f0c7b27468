import type { MigrationState } from '@umem/api';
import type { StateTable } from '@umem/daemon';

/** States by the names they have in umem.v1.MigrationState. */
export type MigrationStateName = Exclude<keyof typeof MigrationState, 'UNSPECIFIED' | 'UNRECOGNIZED'>;

/**
 * How a migration moves on. The point of no return lies inside SWITCHOVER, just before the
 * destination is told to resume: what fails before it is undone, what fails after it is lost.
 */
export const migrationStates: StateTable<MigrationStateName> = {
  PREPARING: ['FREEZING', 'FAILED'],
  FREEZING: ['SWITCHOVER', 'FAILED'],
  SWITCHOVER: ['POSTCOPY_ACTIVE', 'FAILED'],
  POSTCOPY_ACTIVE: ['POSTCOPY_DETACHED', 'COMPLETED', 'FAILED'],
  POSTCOPY_DETACHED: ['POSTCOPY_ACTIVE', 'COMPLETED', 'FAILED'],
  COMPLETED: [],
  FAILED: [],
};
