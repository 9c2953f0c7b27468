import { ftruncateSync } from 'node:fs';
import { allocateBatchBuffer, encodePageBatch, PageEncoding, UmemReply } from '@umem/api';
import { PageLoss } from '@umem/errors';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { GuestRam } from '../testing/guest-ram.js';
import { BatchBuilder } from './batch-builder.js';
import { SourceRam, type SourceBlock } from './source-ram.js';

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

function open(
  pages: number,
  content: (page: number) => number | 'text' | 'hole',
): { guest: GuestRam; block: SourceBlock } {
  const guest = new GuestRam({ ram0: pages }, (_, page) => content(page));
  const ram = SourceRam.open(guest.blocks);
  opened.push(ram, guest);
  return { guest, block: ram.blocks[0] as SourceBlock };
}

const { RAW, FILL } = PageEncoding;

test('constant pages become FILL runs, the others RAW runs with their bytes, neighbours join', () => {
  const { guest, block } = open(20, (page) =>
    page < 4 ? 'text' : page < 10 ? 'hole' : page < 12 ? 7 : 'text',
  );
  const builder = new BatchBuilder(block, allocateBatchBuffer(64 * 4096));
  builder.add({ pgoff: 0, pageCount: 2 });
  builder.add({ pgoff: 2, pageCount: 12 });
  builder.add({ pgoff: 16, pageCount: 1 });
  expect(builder).toMatchObject({ pages: 15, rawPages: 7, fillPages: 8, isFull: false });
  const { reply } = UmemReply.decode(encodePageBatch(builder.build()));
  const batch = reply?.$case === 'pages' ? reply.value : undefined;
  expect(batch?.runs).toEqual([
    { pgoff: 0, pageCount: 4, encoding: RAW, fillValue: 0 },
    { pgoff: 4, pageCount: 6, encoding: FILL, fillValue: 0 },
    { pgoff: 10, pageCount: 2, encoding: FILL, fillValue: 7 },
    { pgoff: 12, pageCount: 2, encoding: RAW, fillValue: 0 },
    { pgoff: 16, pageCount: 1, encoding: RAW, fillValue: 0 },
  ]);
  const expected = Buffer.concat([0, 1, 2, 3, 12, 13, 16].map((page) => guest.page(0, page)));
  expect(Buffer.from(batch?.data ?? []).equals(expected)).toBe(true);
});

test('a batch of nothing but short runs is full before its header overflows', () => {
  const { block } = open(2000, (page) => page % 251);
  const builder = new BatchBuilder(block, allocateBatchBuffer(64 * 4096));
  for (let pgoff = 0; !builder.isFull; pgoff += 64) builder.add({ pgoff, pageCount: 64 });
  expect(builder.pages).toBe(512);
  expect(encodePageBatch(builder.build()).length).toBeLessThan(16 << 10);
});

test('a block that cannot be mapped leaves nothing mapped', () => {
  const guest = new GuestRam({ ram0: 4 });
  opened.push(guest);
  const bad = { blockId: 'ram1', sizeBytes: 4096, hostPageSizeBytes: 4096, fd: 9999 };
  expect(() => SourceRam.open([...guest.blocks, bad])).toThrow(/EBADF|9999/);
});

test('whatever pages are asked for, the batch holds exactly these, each with its bytes', () => {
  const kinds = fc.array(fc.constantFrom('text' as const, 'hole' as const, 0, 7), {
    minLength: 40,
    maxLength: 40,
  });
  const asked = fc.array(fc.tuple(fc.nat(5), fc.integer({ min: 1, max: 8 })), { maxLength: 8 });
  fc.assert(
    fc.property(kinds, asked, (contents, gaps) => {
      const { guest, block } = open(contents.length, (page) => contents[page] ?? 'hole');
      const builder = new BatchBuilder(block, allocateBatchBuffer(64 * 4096));
      const wanted: number[] = [];
      for (const [gap, count] of gaps) {
        const pgoff = (wanted.at(-1) ?? -1) + 1 + gap;
        const pageCount = Math.min(count, contents.length - pgoff);
        if (pageCount <= 0) break;
        builder.add({ pgoff, pageCount });
        for (let page = pgoff; page < pgoff + pageCount; page++) wanted.push(page);
      }
      const { reply } = UmemReply.decode(encodePageBatch(builder.build()));
      if (reply?.$case !== 'pages') throw new Error('Not a batch');
      let offset = 0;
      const arrived = reply.value.runs.flatMap(({ pgoff, pageCount, encoding, fillValue }) =>
        Array.from({ length: pageCount }, (_, i): [number, Buffer] => {
          if (encoding === FILL) return [pgoff + i, Buffer.alloc(4096, fillValue)];
          offset += 4096;
          return [pgoff + i, Buffer.from(reply.value.data.subarray(offset - 4096, offset))];
        }),
      );
      expect(arrived.map(([page]) => page)).toEqual(wanted);
      for (const [page, bytes] of arrived) expect(bytes.equals(guest.page(0, page))).toBe(true);
      expect(offset).toBe(reply.value.data.length);
      for (const one of opened.splice(0)) one.close();
    }),
    { numRuns: 60 },
  );
});

test('pages that cannot be read any more are said to be lost', () => {
  const { guest, block } = open(20, () => 'text');
  const builder = new BatchBuilder(block, allocateBatchBuffer(64 * 4096));
  ftruncateSync(guest.blocks[0]?.fd ?? -1, 8 * 4096);
  builder.add({ pgoff: 0, pageCount: 8 });
  expect(() => builder.add({ pgoff: 8, pageCount: 4 })).toThrow(PageLoss);
  expect(() => builder.add({ pgoff: 8, pageCount: 4 })).toThrow(
    /^Pages 8 to 11 of block "ram0" cannot be read/,
  );
});
