import { expect, it } from 'vitest';
import { planRam, plannedBytes, type HugePageRule } from './ram-plan.js';

const MIB = 2 ** 20;
const blocks = [
  { blockId: 'ram0', sizeBytes: 600 * MIB, hostPageSizeBytes: 2 * MIB },
  { blockId: 'ram1', sizeBytes: 8 * MIB, hostPageSizeBytes: 4096 },
];

function plan(
  rule: HugePageRule,
  freePages: number,
  more: { ram?: typeof blocks; promised?: number; dir?: null } = {},
) {
  return planRam(more.ram ?? blocks, {
    ramDir: '/ram',
    hugetlbfsDir: more.dir === null ? undefined : '/huge',
    rule,
    promisedHugeBytes: more.promised ?? 0,
    readPool: () => Promise.resolve({ pageSizeBytes: 2 * MIB, freePages }),
  });
}
const dirs = async (planned: ReturnType<typeof plan>) => (await planned).blocks.map(({ dir }) => dir);

it('by itself gives huge pages to blocks that have them on the source', async () => {
  const planned = await plan('auto', 300);
  expect(planned.blocks).toEqual([
    { dir: '/huge', block: { blockId: 'ram0', sizeBytes: 600 * MIB, hostPageSizeBytes: 2 * MIB } },
    { dir: '/ram', block: { blockId: 'ram1', sizeBytes: 8 * MIB, hostPageSizeBytes: 4096 } },
  ]);
  expect([plannedBytes(planned, 'huge'), plannedBytes(planned, 'small')]).toEqual([600 * MIB, 8 * MIB]);
});

it('by itself takes ordinary pages when too few are free, and says so', async () => {
  const planned = await plan('auto', 12);
  expect(planned).toMatchObject({
    fix: null,
    finding: expect.stringContaining('need 300 free 2 MiB pages, 12 free'),
  });
  expect(await dirs(plan('auto', 12))).toEqual(['/ram', '/ram']);
  expect(await dirs(plan('auto', 300, { dir: null }))).toEqual(['/ram', '/ram']);
});

it('refuses with the numbers when they are a must', async () => {
  expect(await plan('always', 12)).toMatchObject({
    finding: 'need 304 free 2 MiB pages, 12 free',
    fix: expect.stringContaining('vm.nr_hugepages'),
  });
  expect(await plan('always', 310, { promised: 20 * MIB })).toMatchObject({
    finding: 'need 304 free 2 MiB pages, 300 free',
  });
  expect(await plan('always', 310, { dir: null })).toMatchObject({
    fix: expect.stringContaining('--hugetlbfs-dir'),
  });
  expect(await dirs(plan('always', 304))).toEqual(['/huge', '/huge']);
});

it('never gives them when that is the rule', async () => {
  expect(await dirs(plan('never', 1000))).toEqual(['/ram', '/ram']);
});

it('refuses a size that huge pages do not fit', async () => {
  const ram = [{ blockId: 'ram0', sizeBytes: 3 * MIB, hostPageSizeBytes: 4096 }];
  expect(await plan('always', 100, { ram })).toMatchObject({
    finding: 'RAM block "ram0" has 3145728 bytes, which is no multiple of 2 MiB pages',
    fix: expect.stringContaining('multiples of 2 MiB'),
  });
});

it('refuses a directory that is no hugetlbfs', async () => {
  const settings = {
    ramDir: '/ram',
    hugetlbfsDir: '/nowhere',
    rule: 'always',
    promisedHugeBytes: 0,
  } as const;
  expect(await planRam(blocks, settings)).toMatchObject({
    fix: expect.stringContaining('mount -t hugetlbfs'),
  });
});
