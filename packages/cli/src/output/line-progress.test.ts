import { MigrationState } from '@umem/api';
import { describe, expect, it } from 'vitest';
import { createActive, createMigration, createStats } from '../testing/messages.js';
import { Capture } from '../testing/test-io.js';
import { LineProgress } from './line-progress.js';

function linesOf(output: Capture): string[] {
  return output.text.split('\n').slice(0, -1);
}

describe('progress without a terminal', () => {
  it('writes a line for each state, and within one at most one a second, when there is news', () => {
    let now = 0;
    const output = new Capture();
    const progress = new LineProgress(output, () => now);
    for (now = 0; now < 5_000; now += 200) progress.update(createMigration({ activity: 'Waiting' }));
    progress.update(createMigration({ activity: 'Connecting' }));
    for (; now < 8_000; now += 200) {
      const stats = createStats({ remainingPages: BigInt(100_000 - now) });
      progress.update(createActive({ stats }));
    }
    progress.update(createActive({ state: MigrationState.POSTCOPY_DETACHED }));
    expect(linesOf(output).map((line) => line.split(/[:,]/, 2).join(':'))).toEqual([
      'web1: PREPARING',
      'web1: PREPARING',
      'web1: POSTCOPY_ACTIVE',
      'web1: POSTCOPY_ACTIVE',
      'web1: POSTCOPY_ACTIVE',
      'web1: POSTCOPY_DETACHED',
    ]);
  });

  it('is silent after it was stopped', () => {
    const output = new Capture();
    const progress = new LineProgress(output);
    progress.stop();
    progress.update(createMigration());
    expect(output.text).toBe('');
  });
});
