import { MAX_PGOFFS_PER_MESSAGE } from '@umem/ram';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UmemRequest } from './gen/umem/v1/page_source.js';
import { toPageListRequests, toPlacedRequests, toRemoveRequests } from './page-list.js';

const pages = (count: number): number[] => Array.from({ length: count }, (_, i) => i * 3);

function cases(requests: readonly UmemRequest[]): [string, number][] {
  return requests.map(({ command }) => {
    if (!command || !('pgoffs' in command.value)) throw new Error('Not a page list');
    return [command.$case, command.value.pgoffs.length];
  });
}

test('a list that fits is one message, and the original limit is what fits', () => {
  expect(MAX_PGOFFS_PER_MESSAGE).toBe(4063);
  expect(cases(toPageListRequests('onDemand', 'ram0', pages(4063)))).toEqual([['onDemand', 4063]]);
});

test('the rest of a longer list goes in _CONT messages, which name no block', () => {
  const requests = toPageListRequests('background', 'ram0', pages(2 * 4063 + 1));
  expect(cases(requests)).toEqual([
    ['background', 4063],
    ['backgroundCont', 4063],
    ['backgroundCont', 1],
  ]);
  expect(
    requests.flatMap(({ command }) => (command && 'pgoffs' in command.value ? command.value.pgoffs : [])),
  ).toEqual(pages(2 * 4063 + 1));
  expect(requests.map(({ command }) => command && 'blockId' in command.value)).toEqual([true, false, false]);
});

test('each REMOVE names its block', () => {
  const requests = toRemoveRequests('ram0', pages(4064));
  expect(cases(requests)).toEqual([
    ['remove', 4063],
    ['remove', 1],
  ]);
  expect(
    requests.every(({ command }) => command?.$case === 'remove' && command.value.blockId === 'ram0'),
  ).toBe(true);
});

test('an empty list is no message', () => {
  expect(toPageListRequests('onDemand', 'ram0', [])).toEqual([]);
  expect(toRemoveRequests('ram0', [])).toEqual([]);
});

test('a full message fits the 32 KiB of the original protocol', () => {
  const [request] = toPageListRequests(
    'onDemand',
    'x'.repeat(63),
    Array.from({ length: 4063 }, (_, i) => 2 ** 32 - 4063 + i),
  );
  expect(UmemRequest.encode(request ?? { command: undefined }).finish().length).toBeLessThan(32 << 10);
});

test('confirmed ranges are split like pages, each message naming its block', () => {
  const ranges = pages(4064).map((pgoff) => ({ pgoff, pageCount: 2 }));
  const requests = toPlacedRequests('ram0', ranges);
  const parts = requests.map(({ command }) => (command?.$case === 'placed' ? command.value : null));
  expect(parts.map((part) => part?.blockId)).toEqual(['ram0', 'ram0']);
  expect(parts.map((part) => part?.ranges.length)).toEqual([4063, 1]);
  expect(parts.flatMap((part) => part?.ranges ?? [])).toEqual(ranges);
  expect(toPlacedRequests('ram0', [])).toEqual([]);
});

test('whatever the length, a list arrives whole, in order, in as few messages as can be', () => {
  fc.assert(
    fc.property(
      fc.nat(4 * 4063),
      fc.integer({ min: 1, max: 200_000 }),
      fc.constantFrom('onDemand' as const, 'background' as const),
      (length, step, command) => {
        const wanted = Array.from({ length }, (_, i) => (i * step) % 2 ** 32);
        const arrived = toPageListRequests(command, 'ram0', wanted).map((request) =>
          UmemRequest.decode(UmemRequest.encode(request).finish()),
        );
        const parts = cases(arrived);
        expect(parts).toHaveLength(Math.ceil(length / 4063));
        expect(parts.map(([name]) => name)).toEqual(
          parts.map((_, i) => (i === 0 ? command : `${command}Cont`)),
        );
        expect(
          arrived.flatMap((one) =>
            one.command && 'pgoffs' in one.command.value ? one.command.value.pgoffs : [],
          ),
        ).toEqual(wanted);
      },
    ),
    { numRuns: 30 },
  );
});
