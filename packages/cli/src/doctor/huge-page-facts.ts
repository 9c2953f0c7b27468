import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Huge pages of one size, in pages. admin-guide/mm/hugetlbpage of the kernel. */
export interface HugePagePool {
  readonly pageSizeBytes: number;
  /** All there are, in use or not. */
  readonly total: number;
  readonly free: number;
  /** Promised to mappings that have not used them yet; counted in `free`. */
  readonly reserved: number;
}

/** A mounted hugetlbfs. */
export interface HugetlbfsMount {
  readonly point: string;
  readonly pageSizeBytes: number;
}

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Empty where the kernel has no huge pages. `folder`: of sysfs. */
export function readHugePagePools(folder = '/sys/kernel/mm/hugepages'): HugePagePool[] {
  const read = (pool: string, file: string): number => Number(readFileSync(join(folder, pool, file), 'utf8'));
  return listFolder(folder)
    .map((pool) => ({
      pageSizeBytes: Number(/^hugepages-(\d+)kB$/.exec(pool)?.[1] ?? 0) * 1024,
      total: read(pool, 'nr_hugepages'),
      free: read(pool, 'free_hugepages'),
      reserved: read(pool, 'resv_hugepages'),
    }))
    .sort((a, b) => a.pageSizeBytes - b.pageSizeBytes);
}

/** Every hugetlbfs among the lines of /proc/mounts, whose options always name the page size. */
export function findHugetlbfs(mounts: string): HugetlbfsMount[] {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'hugetlbfs')
    .map(([, point = '', , options = '']) => {
      const [, count, unit = ''] = /\bpagesize=(\d+)([KMG]?)/.exec(options) ?? [];
      return { point, pageSizeBytes: Number(count ?? 0) * (UNITS[unit] ?? 1) };
    });
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // A kernel without them has no such folder.
    return [];
  }
}
