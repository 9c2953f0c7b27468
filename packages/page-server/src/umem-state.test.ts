import { StateMachine } from '@umem/daemon';
import { WrongState } from '@umem/errors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BEFORE_ARMED, GUEST_MAY_RUN, UMEM_STATES, type UmemStateName } from './umem-state.js';

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

test('however it is driven, the guest runs only once armed, and is let go only when it is resident', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...NAMES), { maxLength: 200 }), (attempts) => {
      const machine = new StateMachine({
        subject: 'umem vm1',
        initial: 'AWAITING_HANDOFF',
        table: UMEM_STATES,
      });
      const passed: UmemStateName[] = ['AWAITING_HANDOFF'];
      for (const to of attempts) {
        try {
          machine.transition(to, 'test');
          passed.push(to);
        } catch (error) {
          expect(error).toBeInstanceOf(WrongState);
        }
        expect(machine.current).toBe(passed.at(-1));
        const wasArmed = passed.includes('ARMED');
        if (GUEST_MAY_RUN.includes(machine.current)) expect(wasArmed).toBe(true);
        if (BEFORE_ARMED.includes(machine.current)) expect(wasArmed).toBe(false);
        if (machine.current === 'RELEASED') expect(passed).toContain('RESIDENT');
      }
      const ends = passed.filter((name) => name === 'FAILED' || name === 'RELEASED');
      expect(ends).toEqual(ends.length === 0 ? [] : [passed.at(-1)]);
    }),
  );
});
