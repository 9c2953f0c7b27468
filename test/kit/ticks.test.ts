import { describe, expect, it } from 'vitest';
import { findTickFault, parseTicks, type Tick } from './ticks.js';

function line(number: number, ops: number, mismatches = 0): string {
  return `TICK ${number} ops=${ops} mismatches=${mismatches} worst_us=41 sweeps=3 disk_ops=7\r\n`;
}

function ticks(...numbers: number[]): Tick[] {
  return parseTicks(numbers.map((number) => line(number, number * 100)).join(''));
}

describe('reading a serial console', () => {
  it('finds tick lines among everything else', () => {
    const found = parseTicks(`\x1b[2JSeaBIOS\r\nBooting${line(1, 100)}noise\n${line(2, 250)}`);
    expect(found).toEqual([
      { number: 1, ops: 100, mismatches: 0, worstUs: 41, sweeps: 3, diskOps: 7 },
      { number: 2, ops: 250, mismatches: 0, worstUs: 41, sweeps: 3, diskOps: 7 },
    ]);
  });

  it('does not take half a line for a tick', () => {
    expect(parseTicks('TICK 12 ops=4096 mismatches=0 worst_us=4 sweeps=1 disk_ops=1')).toEqual([]);
  });
});

describe('judging the ticks of a life', () => {
  it('has nothing to say about consecutive ticks', () => {
    expect(findTickFault(ticks(4, 5, 6, 7))).toBeNull();
  });

  it('names a tick that was lost', () => {
    expect(findTickFault(ticks(4, 5, 7))).toBe('tick 7 follows tick 5');
  });

  it('names a tick that was repeated, as after a restart from old state', () => {
    expect(findTickFault(ticks(4, 5, 5))).toBe('tick 5 follows tick 5');
  });

  it('names mismatches', () => {
    expect(findTickFault(parseTicks(line(4, 10) + line(5, 20, 3)))).toContain('3 mismatches by tick 5');
  });

  it('names counters that went back', () => {
    expect(findTickFault(parseTicks(line(4, 20) + line(5, 10)))).toContain('fewer operations');
  });
});
