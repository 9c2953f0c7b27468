import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventuallyTrue } from './eventually.js';
import type { Lab } from './lab.js';

const POOL = '/proc/sys/vm/nr_hugepages';
const FOLDER = '/sys/kernel/mm/hugepages/hugepages-2048kB';

export const HUGE_PAGE_BYTES = 2 ** 21;

/** Free huge pages of 2 MiB that nobody has reserved. */
export function freeHugePages(): number {
  return read('free_hugepages') - read('resv_hugepages');
}

/** What the pool is set to: without pages that were given back and are still in use. */
function poolPages(): number {
  return read('nr_hugepages') - read('surplus_hugepages');
}

function read(name: string): number {
  return Number(readFileSync(join(FOLDER, name), 'utf8'));
}

/**
 * A hugetlbfs of its own for a test, with as many pages free as it asks for; pages and mount are given
 * back when the lab closes. Null where that cannot be had: no root, or too fragmented memory.
 */
export async function mountHugePages(lab: Lab, pages: number): Promise<string | null> {
  const before = poolPages();
  lab.cleanup.defer('give huge pages back', () => {
    if (poolPages() !== before) writeFileSync(POOL, String(before));
  });
  try {
    // What a test before has given back may be in use until its VMM has ended.
    await eventuallyTrue('enough free huge pages', () => {
      const missing = pages - freeHugePages();
      if (missing > 0) writeFileSync(POOL, String(poolPages() + missing));
      return freeHugePages() >= pages;
    });
  } catch {
    // Not ours to change, or not to be had.
    return null;
  }
  const dir = mkdtempSync(join(tmpdir(), 'umem-huge-'));
  if (spawnSync('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'none', dir]).status !== 0) {
    rmdirSync(dir);
    return null;
  }
  lab.cleanup.defer('unmount huge pages', () => {
    // Lazily: a VMM that is just being killed may still map files.
    if (spawnSync('umount', ['-l', dir]).status !== 0) throw new Error(`Could not unmount ${dir}`);
    rmdirSync(dir);
  });
  return dir;
}
