import { HostPrecondition } from '@umem/errors';
import { describe, expect, it } from 'vitest';
import { failed, passed, requirePassed } from './check.js';

describe('requirePassed', () => {
  it('is content when everything passed', () => {
    expect(() => requirePassed('vm1', [passed('a', 'fine'), passed('b', 'fine')])).not.toThrow();
  });

  it('tells every failed check with its fix, and none that passed', () => {
    const checks = [passed('a', 'fine'), failed('b', 'B is bad', 'Do c'), failed('d', 'D is bad', 'Do e')];
    expect(() => requirePassed('vm1', checks)).toThrow(HostPrecondition);
    expect(() => requirePassed('vm1', checks)).toThrow(
      'This host cannot take "vm1": B is bad. Do c [b]; D is bad. Do e [d]',
    );
  });
});
