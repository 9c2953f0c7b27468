import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PageEncoding, UmemReply } from './gen/umem/v1/page_source.js';
import { allocateBatchBuffer, encodePageBatch, HEADER_ROOM, type BatchRun } from './page-batch-codec.js';

const uint32 = fc.oneof(
  fc.nat(200),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fc.constantFrom(127, 128, 16383, 16384, 2 ** 21, 2 ** 28, 2 ** 31, 2 ** 32 - 1),
);
const run: fc.Arbitrary<BatchRun> = fc.record({
  pgoff: uint32,
  pageCount: uint32,
  encoding: fc.constantFrom(PageEncoding.RAW, PageEncoding.FILL),
  fillValue: fc.nat(255),
});

test('every batch is byte for byte what the generated encoder writes', () => {
  const batch = fc.record({
    blockId: fc.oneof(fc.constantFrom('', 'ram0', 'pc.ram'), fc.string({ unit: 'grapheme', maxLength: 200 })),
    runs: fc.array(run, { maxLength: 64 }),
    data: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(127, 128, 4096, 262144).map((size) => new Uint8Array(size).fill(0xa5)),
    ),
  });
  fc.assert(
    fc.property(batch, ({ blockId, runs, data }) => {
      const buffer = allocateBatchBuffer(data.length);
      buffer.set(data, HEADER_ROOM);
      const bytes = encodePageBatch({ blockId, runs, buffer, dataBytes: data.length });
      const pages = { blockId, runs: [...runs], data: Buffer.from(data) };
      const expected = UmemReply.encode({ reply: { $case: 'pages', value: pages } }).finish();
      expect(bytes.equals(expected)).toBe(true);
      expect(bytes.buffer).toBe(buffer.buffer);
    }),
    { numRuns: 300 },
  );
});

test('a buffer may be larger than its data, as the last batch of a block needs', () => {
  const buffer = allocateBatchBuffer(8192);
  buffer.fill(0xee).fill(0x11, HEADER_ROOM, HEADER_ROOM + 4096);
  const runs = [{ pgoff: 7, pageCount: 1, encoding: PageEncoding.RAW, fillValue: 0 } as const];
  const { reply } = UmemReply.decode(encodePageBatch({ blockId: 'ram0', runs, buffer, dataBytes: 4096 }));
  expect(reply?.$case === 'pages' && Buffer.compare(reply.value.data, Buffer.alloc(4096, 0x11))).toBe(0);
});

test('a batch of 256 single pages, the most a message may hold, fits the header room', () => {
  const runs = Array.from({ length: 256 }, (_, i): BatchRun => ({
    pgoff: 2 ** 32 - 1 - 2 * i,
    pageCount: 1,
    encoding: PageEncoding.FILL,
    fillValue: 255,
  }));
  expect(() =>
    encodePageBatch({ blockId: 'x'.repeat(63), runs, buffer: allocateBatchBuffer(0), dataBytes: 0 }),
  ).not.toThrow();
});

test('a header that does not fit is an error and nothing before the buffer is written', () => {
  const runs = Array.from({ length: 2000 }, (): BatchRun => ({
    pgoff: 2 ** 32 - 1,
    pageCount: 1,
    encoding: PageEncoding.FILL,
    fillValue: 1,
  }));
  expect(() =>
    encodePageBatch({ blockId: 'ram0', runs, buffer: allocateBatchBuffer(0), dataBytes: 0 }),
  ).toThrow(/2000 runs do not fit/);
  expect(() =>
    encodePageBatch({ blockId: 'x'.repeat(20000), runs: [], buffer: allocateBatchBuffer(0), dataBytes: 0 }),
  ).toThrow(/does not fit/);
});
