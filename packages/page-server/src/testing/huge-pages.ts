import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SETTING = '/proc/sys/vm/nr_hugepages';
export const HUGE_PAGE = 2 << 20;

/** A hugetlbfs mount with pages reserved for it; `release` in an `afterAll`. */
export interface HugePages {
  readonly directory: string;
  release(): void;
}

/**
 * Reserves `count` huge pages of 2 MiB, or says why this machine cannot. Test files run in parallel and share
 * the setting: each adds what it needs and takes that away again.
 */
export function reserveHugePages(count: number): HugePages | string {
  if (process.geteuid?.() !== 0) return 'reserving huge pages needs root';
  if (!readFileSync('/proc/meminfo', 'utf8').includes('Hugepagesize:       2048 kB'))
    return 'huge pages of this machine are not of 2 MiB';
  const change = (by: number): number => {
    const before = Number(readFileSync(SETTING, 'utf8'));
    writeFileSync(SETTING, String(before + by));
    return Number(readFileSync(SETTING, 'utf8')) - before;
  };
  const got = change(count);
  if (got < count) {
    change(-got);
    return `only ${got} of ${count} huge pages could be reserved`;
  }
  const directory = mkdtempSync(join(tmpdir(), 'umem-huge-'));
  try {
    execFileSync('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'none', directory]);
  } catch (error) {
    change(-count);
    rmdirSync(directory);
    return `hugetlbfs cannot be mounted: ${String(error)}`;
  }
  return {
    directory,
    release: () => {
      // Lazily: a test that failed may still have a file open.
      execFileSync('umount', ['--lazy', directory]);
      rmdirSync(directory);
      change(-count);
    },
  };
}
