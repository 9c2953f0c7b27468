import { readFile } from 'node:fs/promises';
import { findMappings, type FileMapping } from './file-mappings.js';

/** A RAM file, and the block it backs. */
export interface GuardedFile {
  readonly blockId: string;
  readonly path: string;
}

/** A process that has touched guest RAM which nobody serves with pages. */
export interface UnservedProcess {
  readonly pid: number;
  /** As the kernel shows it, cut to 15 characters. */
  readonly name: string;
  readonly blockId: string;
  /** Where it has the RAM. */
  readonly address: number;
}

/**
 * Looks for processes that touch RAM files through mappings without a userfaultfd: for them a page that has
 * not arrived is a page of zeros, and one that they touch first stays so for everybody. Only mappings
 * that are new cost more than a look at /proc/<pid>/maps of every process.
 */
export class UnservedMappings {
  readonly #isExcluded: (pid: number) => boolean;
  /** Those that were seen with a userfaultfd: its end, when all is there, makes nobody a stranger. */
  readonly #served = new Set<string>();

  /** `isExcluded`: processes that map the files for other reasons than to use them. */
  constructor(isExcluded: (pid: number) => boolean) {
    this.#isExcluded = isExcluded;
  }

  /** The first that is found; null when there is none. Rejects when a file is gone. */
  async find(files: readonly GuardedFile[]): Promise<UnservedProcess | null> {
    for (const { blockId, path } of files)
      for (const mapping of await findMappings(path, this.#isExcluded)) {
        const { pid, address } = mapping;
        if (!this.#served.has(keyOf(mapping)) && (await this.#isUnserved(mapping)))
          return { pid, name: await nameOf(pid), blockId, address };
      }
    return null;
  }

  async #isUnserved(mapping: FileMapping): Promise<boolean> {
    // It has ended meanwhile, or is not ours to look at: findMappings has left out the others.
    const smaps = await readFile(`/proc/${mapping.pid}/smaps`, 'utf8').catch(() => '');
    const use = readMappingUse(smaps, mapping.address);
    if (use?.isServed === true) this.#served.add(keyOf(mapping));
    return use !== null && !use.isServed && use.isTouched;
  }
}

/** What the text of /proc/<pid>/smaps says of the mapping that begins at `address`; null without one. */
export function readMappingUse(
  smaps: string,
  address: number,
): { readonly isServed: boolean; readonly isTouched: boolean } | null {
  const start = new RegExp(`^0*${address.toString(16)}-[0-9a-f]+ `, 'm').exec(smaps);
  if (!start) return null;
  const rest = smaps.slice(start.index + start[0].length);
  const next = /^[0-9a-f]+-[0-9a-f]+ /m.exec(rest);
  const entry = next ? rest.slice(0, next.index) : rest;
  return {
    // "um": userfaultfd tells of missing pages. proc_pid_smaps(5).
    isServed: /^VmFlags:.* um\b/m.test(entry),
    // Pages on hugetlbfs do not count as resident.
    isTouched: [...entry.matchAll(/^(?:Rss|Shared_Hugetlb|Private_Hugetlb): +(\d+) kB/gm)].some(
      ([, kiB]) => kiB !== '0',
    ),
  };
}

function keyOf({ pid, address, pages }: FileMapping): string {
  return [pid, address, pages.pgoff, pages.pageCount].join(' ');
}

async function nameOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'unknown')).trim();
}
