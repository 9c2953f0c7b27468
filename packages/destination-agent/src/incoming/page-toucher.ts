import { open, type FileHandle } from 'node:fs/promises';
import { toRanges, TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import { findMappings, type FileMapping } from './file-mappings.js';

/** Longest read that touches a run of pages, in pages. */
const MAX_RUN_PAGES = 64;

/** How long it is believed which processes map a file, in milliseconds. */
const BELIEVED_MS = 1_000;

/** What became of pages that were to be touched: each page is in one of the two. */
export interface Touched {
  /** In the page tables of every process that maps them. */
  readonly faulted: readonly number[];
  /** No process maps them any more. */
  readonly unmapped: readonly number[];
}

/** A file as it was last looked for. */
interface Known {
  readonly mappings: readonly FileMapping[];
  readonly atMs: number;
}

/**
 * Makes placed pages of RAM files present in the page tables of all processes that map the files, by
 * reading them through /proc/<pid>/mem. One request at a time; the bytes are thrown away.
 */
export class PageToucher {
  readonly #pathOf: (blockId: string) => string | undefined;
  readonly #isExcluded: (pid: number) => boolean;
  readonly #known = new Map<string, Known>();
  readonly #memories = new Map<number, FileHandle>();
  readonly #scratch = Buffer.alloc(MAX_RUN_PAGES * TARGET_PAGE_SIZE);
  #turn: Promise<unknown> = Promise.resolve();

  /** `isExcluded`: processes that map the files for other reasons than to use them. */
  constructor(pathOf: (blockId: string) => string | undefined, isExcluded: (pid: number) => boolean) {
    this.#pathOf = pathOf;
    this.#isExcluded = isExcluded;
  }

  /** Resolves when every request so far has been dealt with. */
  get idle(): Promise<void> {
    return this.#turn.then(
      () => undefined,
      () => undefined,
    );
  }

  /** Rejects with what the system reports when a process's memory cannot be read though it lives. */
  touch(blockId: string, pgoffs: readonly number[]): Promise<Touched> {
    const touched = this.#turn.then(() => this.#touch(blockId, pgoffs));
    this.#turn = touched.catch(() => {});
    return touched;
  }

  async close(): Promise<void> {
    await this.idle;
    for (const memory of this.#memories.values()) await memory.close();
    this.#memories.clear();
  }

  async #touch(blockId: string, pgoffs: readonly number[]): Promise<Touched> {
    const path = this.#pathOf(blockId);
    if (path === undefined)
      throw new RangeError(`TRIGGER_PAGE_FAULT names block "${blockId}", which is not here`);
    const faulted = new Set<number>();
    const runs = toRanges([...new Set(pgoffs)].sort((a, b) => a - b));
    for (const mapping of await this.#find(path))
      for (const run of runs)
        for (const part of overlapping(run, mapping.pages))
          if (await this.#read(mapping, part))
            for (let page = part.pgoff; page < part.pgoff + part.pageCount; page++) faulted.add(page);
    return {
      faulted: pgoffs.filter((pgoff) => faulted.has(pgoff)),
      unmapped: pgoffs.filter((pgoff) => !faulted.has(pgoff)),
    };
  }

  async #find(path: string): Promise<readonly FileMapping[]> {
    const known = this.#known.get(path);
    if (known && performance.now() - known.atMs < BELIEVED_MS) return known.mappings;
    const mappings = await findMappings(path, this.#isExcluded);
    this.#known.set(path, { mappings, atMs: performance.now() });
    const alive = new Set([...this.#known.values()].flatMap((one) => one.mappings.map(({ pid }) => pid)));
    for (const [pid, memory] of this.#memories)
      if (!alive.has(pid)) {
        this.#memories.delete(pid);
        await memory.close();
      }
    return mappings;
  }

  /** Reads from the first byte of the first page to the first byte of the last; false when it is not there. */
  async #read({ pid, address, pages }: FileMapping, { pgoff, pageCount }: PageRange): Promise<boolean> {
    const at = address + (pgoff - pages.pgoff) * TARGET_PAGE_SIZE;
    const length = (pageCount - 1) * TARGET_PAGE_SIZE + 1;
    try {
      const { bytesRead } = await (await this.#memory(pid)).read(this.#scratch, 0, length, at);
      if (bytesRead === length) return true;
    } catch (error) {
      // EIO: nothing is mapped there any more. ESRCH, ENOENT: the process has ended.
      if (!hasCode(error, 'EIO', 'ESRCH', 'ENOENT')) throw error;
    }
    this.#known.clear();
    return false;
  }

  async #memory(pid: number): Promise<FileHandle> {
    const known = this.#memories.get(pid);
    if (known) return known;
    const memory = await open(`/proc/${pid}/mem`, 'r');
    this.#memories.set(pid, memory);
    return memory;
  }
}

/** The part of `run` inside `within`, in pieces that one read takes. */
function overlapping(run: PageRange, within: PageRange): PageRange[] {
  const end = Math.min(run.pgoff + run.pageCount, within.pgoff + within.pageCount);
  const parts: PageRange[] = [];
  for (let pgoff = Math.max(run.pgoff, within.pgoff); pgoff < end; pgoff += MAX_RUN_PAGES)
    parts.push({ pgoff, pageCount: Math.min(MAX_RUN_PAGES, end - pgoff) });
  return parts;
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
