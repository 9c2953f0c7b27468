import { InvalidArgument } from '@umem/errors';
import { findBlockProblem, TARGET_PAGE_SIZE } from '@umem/ram';
import fc from 'fast-check';
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

const powerOfTwo = (least: number, most: number) =>
  fc.integer({ min: least, max: most }).map((bits) => 2n ** BigInt(bits));
const blockMessage = fc
  .record({ hostPageSizeBytes: powerOfTwo(10, 30), count: fc.bigInt({ min: 1n, max: 1n << 14n }) })
  .map(({ hostPageSizeBytes, count }) => {
    const unit = hostPageSizeBytes < 4096n ? BigInt(TARGET_PAGE_SIZE) : hostPageSizeBytes;
    return { sizeBytes: unit * count, hostPageSizeBytes };
  });

test('blocks of any page size come back as they went', () => {
  fc.assert(
    fc.property(fc.array(blockMessage, { minLength: 1, maxLength: 5 }), (sizes) => {
      const messages = sizes.map((size, i) => ({ blockId: `ram${i}`, ...size }));
      expect(toBlockMessages(fromBlockMessages(messages))).toEqual(messages);
    }),
  );
});

test('whatever comes is refused or can be RAM, and then has the numbers that came', () => {
  const uint64 = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), powerOfTwo(0, 63));
  const message = fc.record({
    blockId: fc.oneof(fc.constantFrom('ram0', 'ram1'), fc.string()),
    sizeBytes: uint64,
    hostPageSizeBytes: uint64,
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4 }), (messages) => {
      try {
        const blocks = fromBlockMessages(messages);
        expect(findBlockProblem(blocks)).toBeNull();
        expect(toBlockMessages(blocks)).toEqual(messages);
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidArgument);
      }
    }),
    { numRuns: 500 },
  );
});
