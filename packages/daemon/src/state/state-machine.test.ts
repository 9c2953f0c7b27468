import { WrongState } from '@umem/errors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StateMachine, type StateTable } from './state-machine.js';

const STATES = ['PREPARED', 'FROZEN', 'SERVING', 'RELEASED'] as const;
type State = (typeof STATES)[number];

const anyTable: fc.Arbitrary<StateTable<State>> = fc.record(
  Object.fromEntries(STATES.map((state) => [state, fc.subarray([...STATES])])) as Record<
    State,
    fc.Arbitrary<State[]>
  >,
);

test('for every table and every pair of states a move happens and is told, or throws and changes nothing', () => {
  fc.assert(
    fc.property(anyTable, (table) => {
      for (const from of STATES) {
        for (const to of STATES) {
          const told: string[] = [];
          const machine = new StateMachine<State>({
            subject: 'session s1',
            initial: from,
            table,
            onTransition: (...move) => told.push(move.join(' ')),
          });
          const legal = table[from].includes(to);
          expect(machine.canBecome(to)).toBe(legal);
          if (legal) machine.transition(to, 'because');
          else expect(() => machine.transition(to, 'because')).toThrow(WrongState);
          expect(machine.current).toBe(legal ? to : from);
          expect(told).toEqual(legal ? [`${from} ${to} because`] : []);
        }
      }
    }),
  );
});

const table: StateTable<State> = {
  PREPARED: ['FROZEN', 'RELEASED'],
  FROZEN: ['SERVING', 'RELEASED'],
  SERVING: [],
  RELEASED: [],
};

test('a wrong move names the subject, the state, and the states it would be legal in', () => {
  const machine = new StateMachine<State>({ subject: 'session s1', initial: 'PREPARED', table });
  let caught: unknown;
  try {
    machine.transition('SERVING', 'first lane');
  } catch (error) {
    caught = error;
  }
  expect(caught).toMatchObject({
    message: 'Session s1 is PREPARED: it cannot become SERVING (first lane)',
    current: 'PREPARED',
    allowed: ['FROZEN'],
  });
});

test('require passes in the allowed states and throws with the clause in others', () => {
  const machine = new StateMachine<State>({ subject: 'session s1', initial: 'PREPARED', table });
  machine.require(['PREPARED', 'FROZEN'], 'it cannot be cancelled any more');
  machine.transition('RELEASED', 'cancelled');
  expect(() => machine.require(['PREPARED', 'FROZEN'], 'it cannot be cancelled any more')).toThrow(
    'Session s1 is RELEASED: it cannot be cancelled any more',
  );
});

test('a state without a way out is final', () => {
  const machine = new StateMachine<State>({ subject: 'session s1', initial: 'PREPARED', table });
  expect(machine.isFinal).toBe(false);
  machine.transition('RELEASED', 'done');
  expect(machine.isFinal).toBe(true);
  expect(machine.is('FROZEN', 'RELEASED')).toBe(true);
});

test('whoever is told of a move already sees the new state, and may move on', () => {
  const seen: State[] = [];
  const machine: StateMachine<State> = new StateMachine<State>({
    subject: 'session s1',
    initial: 'PREPARED',
    table,
    onTransition: () => {
      seen.push(machine.current);
      if (machine.current === 'FROZEN') machine.transition('SERVING', 'at once');
    },
  });
  machine.transition('FROZEN', 'stop');
  expect(seen).toEqual(['FROZEN', 'SERVING']);
});
