import type { PageEncoding } from './gen/umem/v1/page_source.js';

/** Bytes in front of the page data of a batch buffer, in which `encodePageBatch` writes the header. */
export const HEADER_ROOM = 16 << 10;

/** One run of a batch; `fillValue` is 0 for RAW. */
export interface BatchRun {
  readonly pgoff: number;
  readonly pageCount: number;
  readonly encoding: PageEncoding.RAW | PageEncoding.FILL;
  readonly fillValue: number;
}

/** A batch whose page data already lies in `buffer` at [HEADER_ROOM, HEADER_ROOM + dataBytes). */
export interface OutgoingBatch {
  readonly blockId: string;
  readonly runs: readonly BatchRun[];
  readonly buffer: Buffer;
  readonly dataBytes: number;
}

/** A buffer for a batch of up to `dataBytes` bytes of pages. */
export function allocateBatchBuffer(dataBytes: number): Buffer {
  return Buffer.allocUnsafeSlow(HEADER_ROOM + dataBytes);
}

// Field tags, (field number << 3) | wire type; see umem/v1/page_source.proto.
const REPLY_PAGES = 0x0a;
const BATCH_BLOCK_ID = 0x0a;
const BATCH_RUNS = 0x12;
const BATCH_DATA = 0x1a;
const RUN_PGOFF = 0x08;
const RUN_PAGE_COUNT = 0x10;
const RUN_ENCODING = 0x18;
const RUN_FILL_VALUE = 0x20;

/**
 * Serializes `UmemReply{pages}` by writing the header backwards into the room in front of the data,
 * so that no page is copied. Byte for byte what the generated encoder writes (a property test holds
 * them together). Throws RangeError when the header does not fit HEADER_ROOM.
 */
export function encodePageBatch({ blockId, runs, buffer, dataBytes }: OutgoingBatch): Buffer {
  const end = HEADER_ROOM + dataBytes;
  let at = HEADER_ROOM;
  const varint = (value: number): void => {
    at -= varintLength(value);
    let rest = value;
    let to = at;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) buffer[to++] = (rest % 128) | 0x80;
    buffer[to] = rest;
  };
  const field = (tag: number, value: number): void => {
    if (value === 0) return; // proto3 leaves defaults out
    varint(value);
    varint(tag);
  };
  if (dataBytes > 0) {
    varint(dataBytes);
    varint(BATCH_DATA);
  }
  for (let i = runs.length - 1; i >= 0; i--) {
    const run = runs[i] as BatchRun;
    if (at < 64)
      throw new RangeError(`${runs.length} runs do not fit the header room of ${HEADER_ROOM} bytes`);
    const runEnd = at;
    field(RUN_FILL_VALUE, run.fillValue);
    field(RUN_ENCODING, run.encoding);
    field(RUN_PAGE_COUNT, run.pageCount);
    field(RUN_PGOFF, run.pgoff);
    varint(runEnd - at);
    varint(BATCH_RUNS);
  }
  if (blockId !== '') {
    const idBytes = Buffer.byteLength(blockId);
    if (at < idBytes + 32) throw new RangeError(`Block id of ${idBytes} bytes does not fit the header room`);
    at -= idBytes;
    buffer.write(blockId, at);
    varint(idBytes);
    varint(BATCH_BLOCK_ID);
  }
  varint(end - at);
  varint(REPLY_PAGES);
  return buffer.subarray(at, end);
}

function varintLength(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}
