import { IncomingState } from '@umem/api';
import { StateMachine } from '@umem/daemon';
import { WrongState } from '@umem/errors';
import { describe, expect, it } from 'vitest';
import { BEFORE_RESUME, INCOMING_TABLE, toIncomingState, type IncomingStage } from './incoming-state.js';

const stages = Object.keys(INCOMING_TABLE) as IncomingStage[];
const pairs = stages.flatMap((from) => stages.map((to) => [from, to] as const));

describe('the table of an incoming VM', () => {
  it.each(pairs)('from %s to %s is a move or throws WrongState', (from, to) => {
    const machine = new StateMachine({ subject: 'incoming VM "a"', initial: from, table: INCOMING_TABLE });
    if (INCOMING_TABLE[from].includes(to)) {
      machine.transition(to, 'test');
      expect(machine.current).toBe(to);
    } else {
      expect(() => machine.transition(to, 'test')).toThrow(WrongState);
      expect(machine.current).toBe(from);
    }
  });

  it('leaves COMPLETED and FAILED never', () => {
    expect(INCOMING_TABLE.COMPLETED).toEqual([]);
    expect(INCOMING_TABLE.FAILED).toEqual([]);
  });

  it('goes through RESUMING to RESUMED and in no other way', () => {
    expect(stages.filter((stage) => INCOMING_TABLE[stage].includes('RESUMED'))).toEqual(['RESUMING']);
    expect(stages.filter((stage) => INCOMING_TABLE[stage].includes('RESUMING'))).toEqual(['LOADED']);
  });

  it('counts as before the resume exactly what can become RESUMING later', () => {
    expect(
      stages.filter(
        (stage) => INCOMING_TABLE[stage].includes('FAILED') && !['RESUMING', 'RESUMED'].includes(stage),
      ),
    ).toEqual([...BEFORE_RESUME]);
  });

  it('shows RESUMING as LOADED, because nobody can say more, and every other stage as itself', () => {
    for (const stage of stages)
      expect(toIncomingState(stage)).toBe(stage === 'RESUMING' ? IncomingState.LOADED : IncomingState[stage]);
  });
});
