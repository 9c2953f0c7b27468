import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { checkHugePagePool } from './huge-page-check.js';
import { findHugetlbfs, readHugePagePools } from './huge-page-facts.js';

const MIB2 = 2 ** 21;
const GIB = 2 ** 30;
const pool = (pageSizeBytes: number, total: number, free = total, reserved = 0) => ({
  ...{ pageSizeBytes, total, free, reserved },
});
const mount = (pageSizeBytes: number) => ({ point: '/dev/hugepages', pageSizeBytes });

it('gives the numbers of every size, every mount, and what changes them', () => {
  const found = checkHugePagePool([pool(MIB2, 300, 112, 100), pool(GIB, 2)], [mount(MIB2), mount(GIB)]);
  expect(found).toEqual({
    check: 'huge-page-pool',
    result: 'pass',
    finding:
      '2 MiB: 300 pages, 112 free, 100 of those reserved; 1 GiB: 2 pages, 2 free, 0 of those reserved; hugetlbfs of 2 MiB on /dev/hugepages, hugetlbfs of 1 GiB on /dev/hugepages (change it: sysctl vm.nr_hugepages=COUNT, echo COUNT > /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages)',
    fix: '',
  });
});

it.each([
  ['without huge pages in its kernel', [], [], 'pass', ''],
  ['with an empty pool and no hugetlbfs', [pool(MIB2, 0)], [], 'pass', ''],
  [
    'with pages that no hugetlbfs gives',
    [pool(MIB2, 10)],
    [mount(GIB)],
    'warn',
    'mkdir -p /dev/hugepages && mount -t hugetlbfs -o pagesize=2M none /dev/hugepages',
  ],
  ['with a hugetlbfs and no pages', [pool(MIB2, 0)], [mount(MIB2)], 'warn', 'sysctl vm.nr_hugepages=COUNT'],
  [
    'with pages that are all promised',
    [pool(MIB2, 10, 4, 4)],
    [mount(MIB2)],
    'warn',
    'sysctl vm.nr_hugepages=COUNT',
  ],
] as const)('judges a host %s', (_what, pools, mounts, result, fix) => {
  expect(checkHugePagePool(pools, mounts)).toMatchObject({ result, fix });
});

it('reads pools and mounts as the kernel writes them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'umem-pools-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, total, free, reserved] of [
    ['hugepages-1048576kB', 0, 0, 0],
    ['hugepages-2048kB', 20, 7, 3],
  ] as const) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'nr_hugepages'), `${total}\n`);
    writeFileSync(join(folder, name, 'free_hugepages'), `${free}\n`);
    writeFileSync(join(folder, name, 'resv_hugepages'), `${reserved}\n`);
  }
  expect(readHugePagePools(folder)).toEqual([pool(MIB2, 20, 7, 3), pool(GIB, 0)]);
  expect(readHugePagePools(join(folder, 'none'))).toEqual([]);
  const mounts =
    'tmpfs /dev/shm tmpfs rw 0 0\nnone /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\nnone /mnt/1g hugetlbfs rw,pagesize=1024M,size=4G 0 0';
  expect(findHugetlbfs(mounts)).toEqual([
    { point: '/dev/hugepages', pageSizeBytes: MIB2 },
    { point: '/mnt/1g', pageSizeBytes: GIB },
  ]);
});
