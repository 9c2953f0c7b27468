import { toPageListRequests, toPlacedRequests, toRemoveRequests, type UmemRequest } from '@umem/api';
import { InvalidArgument, NotFound, PgoffOutOfRange } from '@umem/errors';
import { toRanges } from '@umem/ram';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { SourceRam } from '../ram/source-ram.js';
import { GuestRam } from '../testing/guest-ram.js';
import { RequestReader, type LaneRequest } from './request-reader.js';

const PAGES = 20_000;
const guest = new GuestRam({ ram0: PAGES, ram1: 8 }, () => 'hole');
const ram = SourceRam.open(guest.blocks);
afterAll(() => {
  ram.close();
  guest.close();
});

const pagesOf = (request: LaneRequest): number[] => {
  if (request.kind === 'eoc') return [];
  if (request.kind !== 'placed') return [...request.pgoffs];
  return request.ranges.flatMap(({ pgoff, pageCount }) =>
    Array.from({ length: pageCount }, (_, i) => pgoff + i),
  );
};

test('what the other side splits into messages is read as the same pages of the same block', () => {
  const list = fc.record({
    kind: fc.constantFrom('demand' as const, 'background' as const, 'remove' as const, 'placed' as const),
    first: fc.nat(500),
    length: fc.constantFrom(1, 5, 4063, 4064, 9000),
    step: fc.integer({ min: 1, max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(list, { minLength: 1, maxLength: 4 }), (lists) => {
      const reader = new RequestReader(ram);
      for (const { kind, first, length, step } of lists) {
        const pgoffs = Array.from({ length }, (_, i) => first + i * step);
        const messages = {
          demand: () => toPageListRequests('onDemand', 'ram0', pgoffs),
          background: () => toPageListRequests('background', 'ram0', pgoffs),
          remove: () => toRemoveRequests('ram0', pgoffs),
          placed: () => toPlacedRequests('ram0', toRanges(pgoffs)),
        }[kind]();
        const read = messages.map((message) => reader.read(message));
        expect(read.every((one) => one.kind === kind && one.block.blockId === 'ram0')).toBe(true);
        expect(read.flatMap(pagesOf)).toEqual(pgoffs);
      }
    }),
    { numRuns: 30 },
  );
});

test('any messages in any order are read as pages inside of their block, or refused by the rules', () => {
  const uint32 = fc.oneof(fc.nat(10), fc.nat(PAGES), fc.nat(2 ** 32 - 1));
  const blockId = fc.constantFrom('ram0', 'ram1', 'ram2', '');
  const pgoffs = fc.oneof(fc.array(uint32, { maxLength: 4 }), fc.constantFrom(Array<number>(4064).fill(1)));
  const ranges = fc.array(fc.record({ pgoff: uint32, pageCount: uint32 }), { maxLength: 3 });
  const command: fc.Arbitrary<UmemRequest['command']> = fc.oneof(
    fc.record({ $case: fc.constant('onDemand' as const), value: fc.record({ blockId, pgoffs }) }),
    fc.record({ $case: fc.constant('background' as const), value: fc.record({ blockId, pgoffs }) }),
    fc.record({ $case: fc.constant('remove' as const), value: fc.record({ blockId, pgoffs }) }),
    fc.record({ $case: fc.constant('onDemandCont' as const), value: fc.record({ pgoffs }) }),
    fc.record({ $case: fc.constant('backgroundCont' as const), value: fc.record({ pgoffs }) }),
    fc.record({ $case: fc.constant('placed' as const), value: fc.record({ blockId, ranges }) }),
    fc.constant(undefined),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 10 }), (commands) => {
      const reader = new RequestReader(ram);
      for (const one of commands) {
        let read: LaneRequest;
        try {
          read = reader.read({ command: one });
        } catch (error) {
          const isByTheRules = [InvalidArgument, NotFound, PgoffOutOfRange].some(
            (rule) => error instanceof rule,
          );
          expect(isByTheRules, String(error)).toBe(true);
          return; // the lane ends
        }
        if (read.kind === 'eoc') continue;
        const pages = pagesOf(read);
        expect(pages.length).toBeGreaterThan(0);
        expect(Math.max(...pages)).toBeLessThan(read.block.pageCount);
      }
    }),
    { numRuns: 500 },
  );
});
