import { open, type FileHandle } from 'node:fs/promises';
import { PAGE_BYTES } from '../wire/read-batch.js';
import type { Lane } from './lane.js';

/** What the source's RAM holds, while its guest stands still. */
export interface Truth {
  pages(blockId: string, pgoffs: readonly number[]): Promise<Buffer[]>;
}

/** The RAM files themselves, on this host. */
export class RamFiles implements Truth {
  readonly #paths: ReadonlyMap<string, string>;

  constructor(paths: ReadonlyMap<string, string>) {
    this.#paths = paths;
  }

  async pages(blockId: string, pgoffs: readonly number[]): Promise<Buffer[]> {
    const file = await open(this.#paths.get(blockId) ?? '');
    try {
      return await Promise.all(pgoffs.map((pgoff) => readPage(file, pgoff)));
    } finally {
      await file.close();
    }
  }
}

async function readPage(file: FileHandle, pgoff: number): Promise<Buffer> {
  const { buffer } = await file.read(Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, pgoff * PAGE_BYTES);
  return buffer;
}

/** Another lane's word, where the RAM files cannot be read: two lanes must at least agree. */
export class OtherLane implements Truth {
  readonly #lane: Lane;

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  async pages(blockId: string, pgoffs: readonly number[]): Promise<Buffer[]> {
    const pages: Buffer[] = [];
    for (let at = 0; at < pgoffs.length; at += 1024)
      pages.push(...(await this.#lane.pull(blockId, pgoffs.slice(at, at + 1024))));
    return pages;
  }
}
