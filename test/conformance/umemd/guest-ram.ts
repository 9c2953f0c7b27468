import { crc32 } from 'node:zlib';
import { pageKey, type PageKey } from '../source/lane.js';
import type { PageBatchMessage, PageRunMessage, RamBlockMessage } from '../wire/messages.js';
import { PAGE_BYTES } from '../wire/read-batch.js';

/** What a page of the guest holds: no two pages are equal, except the constant ones, which are every fifth. */
function fillPage(page: Buffer, seed: number, pgoff: number): void {
  if (pgoff % 5 === 4) {
    page.fill((pgoff * 3 + seed) & 0xff);
    return;
  }
  const words = new Uint32Array(page.buffer, page.byteOffset, PAGE_BYTES / 4);
  for (let word = 0; word < words.length; word++)
    words[word] = Math.imul(pgoff * 1024 + word + 1, 2654435761) ^ Math.imul(seed + 1, 0x9e3779b9);
}

/** The RAM of a guest that the suite plays the source of. */
export class GuestRam {
  readonly blocks: ReadonlyMap<string, Buffer>;

  /** Of the destination's host, by block. */
  readonly #hostPageBytes: Readonly<Record<string, number>>;

  /** `sizes`: pages of each block; `hostPageBytes`: of those that have others than 4096. */
  constructor(sizes: Readonly<Record<string, number>>, hostPageBytes: Readonly<Record<string, number>> = {}) {
    this.#hostPageBytes = hostPageBytes;
    this.blocks = new Map(
      Object.entries(sizes).map(([id, pages], seed) => {
        const bytes = Buffer.alloc(pages * PAGE_BYTES);
        for (let pgoff = 0; pgoff < pages; pgoff++)
          fillPage(bytes.subarray(pgoff * PAGE_BYTES, (pgoff + 1) * PAGE_BYTES), seed, pgoff);
        return [id, bytes];
      }),
    );
  }

  get messages(): RamBlockMessage[] {
    return [...this.blocks].map(([id, bytes]) => ({
      block_id: id,
      size_bytes: String(bytes.length),
      host_page_size_bytes: String(this.hostPageBytes(id)),
    }));
  }

  get keys(): PageKey[] {
    return [...this.blocks.keys()].flatMap((id) =>
      Array.from({ length: this.pageCount(id) }, (_, pgoff) => pageKey(id, pgoff)),
    );
  }

  hostPageBytes(blockId: string): number {
    return this.#hostPageBytes[blockId] ?? PAGE_BYTES;
  }

  pageCount(blockId: string): number {
    return this.#block(blockId).length / PAGE_BYTES;
  }

  page(blockId: string, pgoff: number): Buffer {
    return this.#block(blockId).subarray(pgoff * PAGE_BYTES, (pgoff + 1) * PAGE_BYTES);
  }

  /** As the VMM reports a page that it has read. */
  crc(blockId: string, pgoff: number): number {
    return crc32(this.page(blockId, pgoff));
  }

  /** A good batch of these pages, ascending; constant ones as FILL. */
  batch(blockId: string, pgoffs: readonly number[]): PageBatchMessage {
    const runs: { -readonly [K in keyof PageRunMessage]: PageRunMessage[K] }[] = [];
    const data: Buffer[] = [];
    for (const pgoff of pgoffs) {
      const page = this.page(blockId, pgoff);
      const value = page[0] ?? 0;
      const isConstant = page.every((byte) => byte === value);
      const encoding = isConstant ? 'PAGE_ENCODING_FILL' : 'PAGE_ENCODING_RAW';
      const fill = isConstant ? value : 0;
      if (!isConstant) data.push(page);
      const last = runs.at(-1);
      if (last?.encoding === encoding && last.fill_value === fill && last.pgoff + last.page_count === pgoff)
        last.page_count++;
      else runs.push({ pgoff, page_count: 1, encoding, fill_value: fill });
    }
    return { block_id: blockId, runs, data: Buffer.concat(data) };
  }

  #block(blockId: string): Buffer {
    const bytes = this.blocks.get(blockId);
    if (bytes === undefined) throw new Error(`The guest has no block ${blockId}`);
    return bytes;
  }
}
