import { open, type FileHandle } from 'node:fs/promises';

const PAGE_BYTES = 4096;
const CHUNK_BYTES = 4 * 2 ** 20;
const LISTED_PAGES = 16;

export interface RamDifference {
  /** Pages that differ, in all. */
  readonly pages: number;
  /** The first of them, as page indexes. */
  readonly first: readonly number[];
}

/** Compares two RAM files byte for byte; null when they are equal. */
export async function compareRam(pathA: string, pathB: string): Promise<RamDifference | null> {
  const files = [await open(pathA), await open(pathB)] as const;
  try {
    const [sizeA, sizeB] = await Promise.all(files.map(async (file) => (await file.stat()).size));
    if (sizeA === undefined || sizeA !== sizeB) {
      throw new Error(`${pathA} has ${sizeA} bytes, ${pathB} has ${sizeB}`);
    }
    return await compareOpen(files[0], files[1], sizeA);
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

async function compareOpen(a: FileHandle, b: FileHandle, sizeBytes: number): Promise<RamDifference | null> {
  const chunkA = Buffer.alloc(CHUNK_BYTES);
  const chunkB = Buffer.alloc(CHUNK_BYTES);
  const first: number[] = [];
  let pages = 0;
  for (let offset = 0; offset < sizeBytes; offset += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, sizeBytes - offset);
    await Promise.all([a.read(chunkA, 0, length, offset), b.read(chunkB, 0, length, offset)]);
    if (chunkA.compare(chunkB, 0, length, 0, length) === 0) continue;
    for (let at = 0; at < length; at += PAGE_BYTES) {
      const end = at + PAGE_BYTES;
      if (chunkA.compare(chunkB, at, end, at, end) === 0) continue;
      pages += 1;
      if (first.length < LISTED_PAGES) first.push((offset + at) / PAGE_BYTES);
    }
  }
  return pages === 0 ? null : { pages, first };
}
