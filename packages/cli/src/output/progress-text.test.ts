import { MigrationState } from '@umem/api';
import { describe, expect, it } from 'vitest';
import { createActive, createCompleted, createMigration, createStats } from '../testing/messages.js';
import { formatBarLine, formatProgressLine } from './progress-text.js';

const CELLS = { done: '#', todo: '-' };
const MIB = 2 ** 20;

describe('the progress line', () => {
  it('tells state, pages, rate, what is left, the estimate and faults', () => {
    expect(formatProgressLine(createActive(), 200 * MIB)).toBe(
      'web1: POSTCOPY_ACTIVE: 50 %, 65,536/131,072 pages, 200 MiB/s, 256 MiB left, ETA 700 ms, 240 faults\n',
    );
  });

  it('tells what goes on before pages move', () => {
    expect(formatProgressLine(createMigration({ activity: 'waiting for the handoff' }), null)).toBe(
      'web1: PREPARING: waiting for the handoff\n',
    );
  });

  it('leaves the pages of a failed migration to its error', () => {
    expect(formatProgressLine(createActive({ state: MigrationState.FAILED }), 0)).toBe('web1: FAILED\n');
  });

  it('never says 100 % while a page is missing', () => {
    const stats = createStats({ remainingPages: 1n });
    expect(formatProgressLine(createActive({ stats }), null)).toContain(' 99 %');
  });

  it('survives a migration of no pages', () => {
    const stats = createStats({ totalPages: 0n, remainingPages: 0n });
    expect(formatProgressLine(createActive({ stats }), null)).toBe('web1: POSTCOPY_ACTIVE\n');
  });
});

describe('the progress bar', () => {
  it('shows everything where there is room', () => {
    expect(formatBarLine(createActive(), 200 * MIB, 140, CELLS)).toBe(
      'web1  POSTCOPY_ACTIVE  ############------------  50 %  65,536/131,072 pages  200 MiB/s  256 MiB left  ETA 700 ms  240 faults',
    );
  });

  it.each([30, 40, 60, 79, 80, 100, 120])(
    'fits %i columns and drops the least important first',
    (columns) => {
      const line = formatBarLine(createActive(), 200 * MIB, columns, CELLS);
      expect(line.length).toBeLessThanOrEqual(columns);
      if (columns < 100) expect(line).not.toContain('faults');
    },
  );

  it('is full at the end and says nothing of what is left', () => {
    const line = formatBarLine(createCompleted(), 0, 140, CELLS);
    expect(line).toContain(`${'#'.repeat(24)} 100 %`);
    expect(line).not.toContain('left');
  });

  it('is not there before pages move', () => {
    const line = formatBarLine(createMigration({ state: MigrationState.FREEZING }), null, 80, CELLS);
    expect(line.trim()).toBe('web1  FREEZING');
  });
});
