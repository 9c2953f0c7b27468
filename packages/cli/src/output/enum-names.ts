import { IncomingState, MigrationState, UmemState, VmRunState } from '@umem/api';

/** The name without its prefix, as the documentation writes it; UNKNOWN for what this version does not know. */
function nameIn(names: Record<string, string | number>, value: number): string {
  const name = names[value];
  return typeof name === 'string' && name !== 'UNRECOGNIZED' && name !== 'UNSPECIFIED' ? name : 'UNKNOWN';
}

export const toMigrationStateName = (state: MigrationState): string => nameIn(MigrationState, state);
export const toIncomingStateName = (state: IncomingState): string => nameIn(IncomingState, state);
export const toUmemStateName = (state: UmemState): string => nameIn(UmemState, state);
export const toRunStateName = (state: VmRunState): string => nameIn(VmRunState, state);
