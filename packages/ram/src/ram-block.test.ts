import { describe, expect, test } from 'vitest';
import { findBlockMismatch, findBlockProblem, pagesIn, totalPages, type RamBlock } from './ram-block.js';

const block = (change: Partial<RamBlock> = {}): RamBlock => ({
  blockId: 'ram0',
  sizeBytes: 1 << 20,
  hostPageSizeBytes: 4096,
  ...change,
});

test('pages are counted in target pages whatever the host page size', () => {
  expect(pagesIn(block())).toBe(256);
  expect(totalPages([block(), block({ sizeBytes: 4 << 20, hostPageSizeBytes: 2 << 20 })])).toBe(256 + 1024);
});

describe('a list of blocks is refused', () => {
  test.each([
    ['when it is empty', [], /needs at least one/],
    ['with an id that is a path', [block({ blockId: '../ram' })], /id "\.\.\/ram" is not valid/],
    ['with an id twice', [block(), block()], /"ram0" is listed twice/],
    ['with size 0', [block({ sizeBytes: 0 })], /has 0 bytes/],
    ['with a size that is no multiple of a page', [block({ sizeBytes: 4097 })], /multiple of 4096/],
    [
      'with a size that is no multiple of the huge page',
      [block({ sizeBytes: 3 << 20, hostPageSizeBytes: 2 << 20 })],
      /multiple of 2097152/,
    ],
    ['with more than 2^32 pages', [block({ sizeBytes: 2 ** 44 + 4096 })], /17592186048512 bytes/],
    ['with a size that is not a number', [block({ sizeBytes: NaN })], /NaN bytes/],
    [
      'with a host page size that is no power of two',
      [block({ hostPageSizeBytes: 6000 })],
      /page size 6000 bytes/,
    ],
    ['with host page size 0', [block({ hostPageSizeBytes: 0 })], /page size 0 bytes/],
    ['with a negative host page size', [block({ hostPageSizeBytes: -4096 })], /page size -4096 bytes/],
  ])('%s', (_, blocks, expected) => {
    expect(findBlockProblem(blocks)).toMatch(expected);
  });
});

test('good blocks have no problem', () => {
  const blocks = [
    block(),
    block({ blockId: 'pc.ram', sizeBytes: 4 << 20, hostPageSizeBytes: 2 << 20 }),
    block({ blockId: 'big', sizeBytes: 2 ** 44 }),
  ];
  expect(findBlockProblem(blocks)).toBeNull();
});

describe('two hosts', () => {
  test('agree whatever the order and the host page sizes', () => {
    const ours = [block(), block({ blockId: 'ram1' })];
    const theirs = [block({ blockId: 'ram1' }), block({ hostPageSizeBytes: 2 << 20 })];
    expect(findBlockMismatch(ours, theirs)).toBeNull();
  });
  test('that differ in a size are told both', () => {
    expect(findBlockMismatch([block()], [block({ sizeBytes: 4096 })])).toBe(
      'RAM block "ram0" has 1048576 bytes here and 4096 bytes on the other side',
    );
  });
  test('of which one lacks a block are told which', () => {
    expect(findBlockMismatch([block()], [])).toMatch(/"ram0" .* is missing on the other side/);
    expect(findBlockMismatch([], [block()])).toMatch(/"ram0" .* exists only on the other side/);
  });
});
