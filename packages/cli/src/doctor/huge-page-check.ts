import { formatBytes } from '@umem/ram';
import type { Check } from './check.js';
import type { HugePagePool, HugetlbfsMount } from './huge-page-facts.js';

/** Size of the pages that vm.nr_hugepages counts, on x86-64 and most arm64 kernels. */
const DEFAULT_SIZE_BYTES = 2 * 2 ** 20;

/**
 * What huge pages there are for guest RAM. None is well: guests have small pages then. Pages without a
 * hugetlbfs, and a hugetlbfs without pages, are of no use.
 */
export function checkHugePagePool(
  pools: readonly HugePagePool[],
  mounts: readonly HugetlbfsMount[],
): Omit<Check, 'subject'> {
  const check = 'huge-page-pool';
  if (pools.length === 0) return { check, result: 'pass', finding: 'the kernel has no huge pages', fix: '' };
  const found = [...pools.map(describePool), describeMounts(mounts)].join('; ');
  const fixes = pools.flatMap((pool) => adviseOn(pool, mounts));
  if (fixes.length > 0) return { check, result: 'warn', finding: found, fix: fixes.join('; ') };
  const change = pools.map(({ pageSizeBytes }) => toChange(pageSizeBytes)).join(', ');
  return { check, result: 'pass', finding: `${found} (change it: ${change})`, fix: '' };
}

function describePool({ pageSizeBytes, total, free, reserved }: HugePagePool): string {
  return `${formatBytes(pageSizeBytes)}: ${total} pages, ${free} free, ${reserved} of those reserved`;
}

function describeMounts(mounts: readonly HugetlbfsMount[]): string {
  if (mounts.length === 0) return 'no hugetlbfs is mounted';
  return mounts
    .map(({ point, pageSizeBytes }) => `hugetlbfs of ${formatBytes(pageSizeBytes)} on ${point}`)
    .join(', ');
}

function adviseOn({ pageSizeBytes, total, free, reserved }: HugePagePool, mounts: readonly HugetlbfsMount[]) {
  const isMounted = mounts.some((mount) => mount.pageSizeBytes === pageSizeBytes);
  if (total > 0 && !isMounted) {
    const size = pageSizeBytes / 2 ** 20;
    return [`mkdir -p /dev/hugepages && mount -t hugetlbfs -o pagesize=${size}M none /dev/hugepages`];
  }
  if (isMounted && free <= reserved) return [toChange(pageSizeBytes)];
  return [];
}

function toChange(pageSizeBytes: number): string {
  if (pageSizeBytes === DEFAULT_SIZE_BYTES) return 'sysctl vm.nr_hugepages=COUNT';
  return `echo COUNT > /sys/kernel/mm/hugepages/hugepages-${pageSizeBytes / 1024}kB/nr_hugepages`;
}
