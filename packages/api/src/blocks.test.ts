import { InvalidArgument } from '@umem/errors';
import { expect, test } from 'vitest';
import { fromBlockMessages, toBlockMessages } from './blocks.js';

test('blocks travel and come back', () => {
  const blocks = [{ blockId: 'ram0', sizeBytes: 2 ** 44, hostPageSizeBytes: 4096 }];
  expect(fromBlockMessages(toBlockMessages(blocks))).toEqual(blocks);
});

test.each([
  ['no blocks', []],
  [
    'a size beyond what a number holds',
    [{ blockId: 'ram0', sizeBytes: 2n ** 64n - 1n, hostPageSizeBytes: 4096n }],
  ],
  ['a path as id', [{ blockId: '../x', sizeBytes: 4096n, hostPageSizeBytes: 4096n }]],
])('%s are refused', (_, messages) => {
  expect(() => fromBlockMessages(messages)).toThrow(InvalidArgument);
});
