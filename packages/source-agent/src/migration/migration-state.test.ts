import { MigrationState } from '@umem/api';
import { StateMachine } from '@umem/daemon';
import { WrongState } from '@umem/errors';
import { describe, expect, test } from 'vitest';
import { migrationStates, type MigrationStateName } from './migration-state.js';

const names = Object.keys(migrationStates) as MigrationStateName[];

test('every state of the protocol is in the table', () => {
  const wire = Object.keys(MigrationState).filter(
    (key) => Number.isNaN(Number(key)) && !key.startsWith('UN'),
  );
  expect([...names].sort()).toEqual(wire.sort());
});

const legal = new Set(names.flatMap((from) => migrationStates[from].map((to) => `${from} ${to}`)));
const pairs = names.flatMap((from) =>
  names.map((to): [MigrationStateName, MigrationStateName] => [from, to]),
);

describe.each(pairs)('%s → %s', (from, to) => {
  test(legal.has(`${from} ${to}`) ? 'is a move' : 'is refused', () => {
    const machine = new StateMachine<MigrationStateName>({
      subject: 'migration',
      initial: from,
      table: migrationStates,
    });
    if (legal.has(`${from} ${to}`)) machine.transition(to, 'test');
    else expect(() => machine.transition(to, 'test')).toThrow(WrongState);
    expect(machine.current).toBe(legal.has(`${from} ${to}`) ? to : from);
  });
});

test('there is no way back to the source once the guest runs on the destination, and no way out of the end', () => {
  for (const state of ['POSTCOPY_ACTIVE', 'POSTCOPY_DETACHED'] as const)
    for (const before of ['PREPARING', 'FREEZING', 'SWITCHOVER'] as const)
      expect(migrationStates[state]).not.toContain(before);
  expect(migrationStates.COMPLETED).toEqual([]);
  expect(migrationStates.FAILED).toEqual([]);
});
