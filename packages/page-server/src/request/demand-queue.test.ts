import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DemandQueue } from './demand-queue.js';

test('pages leave in the order in which they came, of one block at a time, as a plain list would have them', () => {
  const push = fc.record({
    blockId: fc.constantFrom('ram0', 'ram1'),
    pgoff: fc.nat(2 ** 20),
    times: fc.constantFrom(1, 1, 3, 900),
  });
  const step = fc.oneof(push, fc.record({ max: fc.constantFrom(1, 64, 4063) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new DemandQueue();
      let model: { blockId: string; pgoff: number }[] = [];
      for (const one of steps) {
        if ('max' in one) {
          const other = model.findIndex(({ blockId }) => blockId !== model[0]?.blockId);
          const taken = model.slice(0, Math.min(one.max, other < 0 ? model.length : other));
          model = model.slice(taken.length);
          const expected = { blockId: taken[0]?.blockId, pgoffs: taken.map(({ pgoff }) => pgoff) };
          expect(queue.take(one.max)).toEqual(taken.length === 0 ? null : expected);
        } else {
          for (let i = 0; i < one.times; i++) {
            const page = { blockId: one.blockId, pgoff: one.pgoff + i };
            queue.push(page);
            model.push(page);
          }
        }
        expect(queue.size).toBe(model.length);
      }
    }),
  );
});
