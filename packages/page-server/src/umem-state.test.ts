import { StateMachine } from '@umem/daemon';
import { WrongState } from '@umem/errors';
import { expect, test } from 'vitest';
import { UMEM_STATES, type UmemStateName } from './umem-state.js';

const NAMES = Object.keys(UMEM_STATES) as UmemStateName[];

test('every pair of states is a legal move or throws', () => {
  for (const from of NAMES)
    for (const to of NAMES) {
      const machine = new StateMachine({ subject: 'umem vm1', initial: from, table: UMEM_STATES });
      if (UMEM_STATES[from].includes(to)) machine.transition(to, 'test');
      else expect(() => machine.transition(to, 'test')).toThrow(WrongState);
    }
});

test('a set that was armed never becomes unarmed, and only RESIDENT is released', () => {
  const reachable = new Set<UmemStateName>();
  const visit = (state: UmemStateName): void => {
    if (reachable.has(state)) return;
    reachable.add(state);
    UMEM_STATES[state].forEach(visit);
  };
  visit('ARMED');
  expect(reachable).not.toContain('AWAITING_HANDOFF');
  expect(reachable).not.toContain('HANDED_OFF');
  expect(NAMES.filter((state) => UMEM_STATES[state].includes('RELEASED'))).toEqual(['RESIDENT']);
});
