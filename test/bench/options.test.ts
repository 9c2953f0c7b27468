import { expect, test } from 'vitest';
import { readBenchOptions, UsageError } from './options.js';

test('without options every scenario has its own number of rounds', () => {
  expect(readBenchOptions([])).toEqual({ rounds: null, names: [], stallMs: 30_000 });
});

test('scenarios are named by flag or by word', () => {
  const options = readBenchOptions(['--scenario', 'a', 'b', '--scenario', 'c', '--rounds', '7']);
  expect(options).toEqual({ rounds: 7, names: ['a', 'c', 'b'], stallMs: 30_000 });
});

test('what is no count is refused with its flag', () => {
  for (const rounds of ['0', '-1', '1.5', 'x', ''])
    expect(() => readBenchOptions([`--rounds=${rounds}`])).toThrow(UsageError);
  expect(() => readBenchOptions(['--stall-seconds', '0'])).toThrow(/--stall-seconds/);
  expect(() => readBenchOptions(['--fast'])).toThrow(/--fast/);
});
