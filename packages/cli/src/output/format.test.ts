import { describe, expect, it } from 'vitest';
import { formatCount, formatDuration, formatPages, formatThings, formatTime } from './format.js';

describe('numbers for people', () => {
  it.each([
    [0, '0 µs'],
    [412, '412 µs'],
    [4_100, '4.10 ms'],
    [41_237, '41.2 ms'],
    [700_000, '700 ms'],
    [1_420_000, '1.42 s'],
    [59_940_000, '59.9 s'],
    [125_000_000, '2 min 5 s'],
    [3_661_000_000, '1 h 1 min'],
  ])('%i µs is %s', (us, text) => {
    expect(formatDuration(us)).toBe(text);
  });

  it('counts, pages and moments', () => {
    expect(formatCount(131_072n)).toBe('131,072');
    expect(formatThings(1, 'fault')).toBe('1 fault');
    expect(formatThings(2n, 'fault')).toBe('2 faults');
    expect(formatPages(65_536n)).toBe('256 MiB');
    expect(formatTime(1_700_000_000_000_000n)).toBe('2023-11-14T22:13:20Z');
    expect(formatTime(0n)).toBe('');
  });
});
