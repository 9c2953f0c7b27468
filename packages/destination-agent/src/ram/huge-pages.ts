import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/** What a hugetlbfs can still give. */
export interface HugePagePool {
  readonly pageSizeBytes: number;
  readonly freePages: number;
}

const SYSFS = '/sys/kernel/mm/hugepages';

/**
 * The huge pages that files on a mounted hugetlbfs can still get: free ones that nobody has reserved, and
 * those that the kernel may make beyond the pool, within the limit of the mount. statfs(2); the kernel's
 * admin-guide/mm/hugetlbpage. Throws what the system reports.
 */
export async function readPool(dir: string): Promise<HugePagePool> {
  const { bsize, blocks, bavail } = await statfs(dir);
  const folder = join(SYSFS, `hugepages-${bsize / 1024}kB`);
  const read = async (file: string): Promise<number> => Number(await readFile(join(folder, file), 'utf8'));
  const free = await read('free_hugepages');
  const reserved = await read('resv_hugepages');
  const beyond = (await read('nr_overcommit_hugepages')) - (await read('surplus_hugepages'));
  const inPool = Math.max(0, free - reserved) + Math.max(0, beyond);
  // A mount without a size limit says that it has no blocks at all.
  return { pageSizeBytes: bsize, freePages: blocks > 0 ? Math.min(inPool, bavail) : inPool };
}
