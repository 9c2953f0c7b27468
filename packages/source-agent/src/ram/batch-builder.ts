import { HEADER_ROOM, PageEncoding, type BatchRun, type OutgoingBatch } from '@umem/api';
import { PageLoss } from '@umem/errors';
import { NativeError } from '@umem/native';
import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import type { SourceBlock } from './source-ram.js';

/** Most pages in one `add`. */
export const MAX_PAGES_PER_ADD = 64;

/** Runs after which a batch is full: with one more `add` its header still fits HEADER_ROOM. */
const FULL_RUNS = 512;

/** What a run adds to a message's header, about. */
const RUN_BYTES = 12;

/** What `classify` found, reused: a thread builds one batch at a time. */
const contents = new Int16Array(MAX_PAGES_PER_ADD);

/**
 * Builds one batch of pages of one block: constant pages become FILL runs, the others RAW runs whose
 * bytes are read, one read per run, to where `encodePageBatch` sends them from.
 */
export class BatchBuilder {
  readonly #block: SourceBlock;
  readonly #buffer: Buffer;
  readonly #runs: BatchRun[] = [];
  #pages = 0;
  #rawPages = 0;

  /** `buffer`: from `allocateBatchBuffer`, with room for as many pages as can turn out RAW. */
  constructor(block: SourceBlock, buffer: Buffer) {
    this.#block = block;
    this.#buffer = buffer;
  }

  get pages(): number {
    return this.#pages;
  }

  get rawPages(): number {
    return this.#rawPages;
  }

  get fillPages(): number {
    return this.#pages - this.#rawPages;
  }

  /** Bytes of the message, to within a few per run. */
  get wireBytes(): number {
    return this.#rawPages * TARGET_PAGE_SIZE + this.#runs.length * RUN_BYTES;
  }

  /** True when another `add` might not fit the header. */
  get isFull(): boolean {
    return this.#runs.length >= FULL_RUNS;
  }

  /**
   * Appends pages; ranges ascend and do not overlap, at most MAX_PAGES_PER_ADD in one. Throws PageLoss when
   * they cannot be read any more: the RAM file was cut or its memory is broken.
   */
  add(range: PageRange): void {
    try {
      this.#add(range);
    } catch (cause) {
      if (!(cause instanceof NativeError)) throw cause;
      const { blockId } = this.#block;
      const { pgoff, pageCount } = range;
      throw new PageLoss(
        `Pages ${pgoff} to ${pgoff + pageCount - 1} of block "${blockId}" cannot be read any more: ${cause.message}`,
        ...([blockId, pgoff, pageCount] as const),
        { cause },
      );
    }
  }

  build(): OutgoingBatch {
    return {
      blockId: this.#block.blockId,
      runs: this.#runs,
      buffer: this.#buffer,
      dataBytes: this.#rawPages * TARGET_PAGE_SIZE,
    };
  }

  #add({ pgoff, pageCount }: PageRange): void {
    this.#block.reader.classify(pgoff, pageCount, TARGET_PAGE_SIZE, contents);
    for (let from = 0; from < pageCount;) {
      const content = contents[from] ?? -1;
      let end = from + 1;
      while (end < pageCount && contents[end] === content) end++;
      if (content < 0) this.#addRaw(pgoff + from, end - from);
      else this.#append(pgoff + from, end - from, PageEncoding.FILL, content);
      from = end;
    }
  }

  #addRaw(pgoff: number, pageCount: number): void {
    const at = HEADER_ROOM + this.#rawPages * TARGET_PAGE_SIZE;
    this.#block.reader.read(pgoff * TARGET_PAGE_SIZE, pageCount * TARGET_PAGE_SIZE, this.#buffer, at);
    this.#append(pgoff, pageCount, PageEncoding.RAW, 0);
    this.#rawPages += pageCount;
  }

  #append(pgoff: number, pageCount: number, encoding: BatchRun['encoding'], fillValue: number): void {
    this.#pages += pageCount;
    const last = this.#runs.at(-1);
    const joins =
      last?.encoding === encoding && last.fillValue === fillValue && last.pgoff + last.pageCount === pgoff;
    if (joins) this.#runs[this.#runs.length - 1] = { ...last, pageCount: last.pageCount + pageCount };
    else this.#runs.push({ pgoff, pageCount, encoding, fillValue });
  }
}
