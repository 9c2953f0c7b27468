import { allocateBatchBuffer, encodePageBatch, PageEncoding, UmemReply } from '@umem/api';
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
