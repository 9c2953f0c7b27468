import { messageOf } from '@umem/errors';
import { formatBytes, type RamBlock } from '@umem/ram';
import { readPool, type HugePagePool } from './huge-pages.js';

/** Page size of files on a tmpfs, in bytes. */
export const RAM_PAGE_SIZE = 4096;

/**
 * Which blocks get huge pages here. auto: those that have them on the source, as long as pages are free.
 * always: all, or the VM is refused. never: none.
 */
export const HUGE_PAGE_RULES = ['auto', 'always', 'never'] as const;
export type HugePageRule = (typeof HUGE_PAGE_RULES)[number];

/** A block as it will be backed on this host. */
export interface PlannedBlock {
  /** With this host's page size. */
  readonly block: RamBlock;
  /** Where its file goes, below a directory for the VM. */
  readonly dir: string;
}

/** How a VM's RAM will be backed. */
export interface RamPlan {
  readonly blocks: readonly PlannedBlock[];
  /** What was decided, with the numbers. */
  readonly finding: string;
  /** What to do before the VM can come in; null when it can. */
  readonly fix: string | null;
}

export interface RamPlanSettings {
  readonly ramDir: string;
  /** Directory on a hugetlbfs; undefined: no huge pages here. */
  readonly hugetlbfsDir: string | undefined;
  readonly rule: HugePageRule;
  /** Huge pages that other incoming VMs will take, in bytes. */
  readonly promisedHugeBytes: number;
  /** Default: what the system says. */
  readonly readPool?: (dir: string) => Promise<HugePagePool>;
}

/**
 * Decides which blocks lie on huge pages. Nothing is reserved: files on a hugetlbfs must be empty until
 * pages arrive, so the kernel reserves when the VMM maps them. Never throws.
 */
export async function planRam(blocks: readonly RamBlock[], settings: RamPlanSettings): Promise<RamPlan> {
  const { ramDir, hugetlbfsDir, rule } = settings;
  const small = (finding: string, fix: string | null = null): RamPlan => ({
    blocks: blocks.map((block) => ({ block: { ...block, hostPageSizeBytes: RAM_PAGE_SIZE }, dir: ramDir })),
    finding,
    fix,
  });
  const wanted = blocks.filter(
    ({ hostPageSizeBytes }) => rule === 'always' || (rule === 'auto' && hostPageSizeBytes > RAM_PAGE_SIZE),
  );
  const source = [...new Set(blocks.map(({ hostPageSizeBytes }) => formatBytes(hostPageSizeBytes)))].join(
    ', ',
  );
  const onBoth = `Pages of ${source} on the source, of ${formatBytes(RAM_PAGE_SIZE)} here`;
  if (wanted.length === 0) return small(onBoth);
  if (hugetlbfsDir === undefined)
    return rule === 'always'
      ? small(
          'Huge pages are wanted here, and there is no directory for them',
          'Give one with --hugetlbfs-dir',
        )
      : small(`${onBoth}, for there is no --hugetlbfs-dir`);
  let pool: HugePagePool;
  try {
    pool = await (settings.readPool ?? readPool)(hugetlbfsDir);
  } catch (error) {
    return small(
      `How many huge pages are free in ${hugetlbfsDir} is unknown (${messageOf(error)})`,
      'Mount a hugetlbfs there: mount -t hugetlbfs none DIR',
    );
  }
  const { pageSizeBytes } = pool;
  const size = formatBytes(pageSizeBytes);
  const odd = wanted.find(({ sizeBytes }) => sizeBytes % pageSizeBytes !== 0);
  if (odd) {
    const finding = `RAM block "${odd.blockId}" has ${odd.sizeBytes} bytes, which is no multiple of ${size} pages`;
    return rule === 'always'
      ? small(
          finding,
          `Give the VM RAM in multiples of ${size}, or use pages of ${formatBytes(RAM_PAGE_SIZE)} here`,
        )
      : small(`${finding}: pages of ${formatBytes(RAM_PAGE_SIZE)} are used here`);
  }
  const need = wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes / pageSizeBytes, 0);
  const free = Math.max(0, pool.freePages - Math.ceil(settings.promisedHugeBytes / pageSizeBytes));
  const numbers = `need ${need} free ${size} pages, ${free} free`;
  if (free < need)
    return rule === 'always'
      ? small(numbers, `Make room: sysctl vm.nr_hugepages (now short of ${need - free})`)
      : small(`${numbers}: pages of ${formatBytes(RAM_PAGE_SIZE)} are used here`);
  return {
    blocks: blocks.map((block) =>
      wanted.includes(block)
        ? { block: { ...block, hostPageSizeBytes: pageSizeBytes }, dir: hugetlbfsDir }
        : { block: { ...block, hostPageSizeBytes: RAM_PAGE_SIZE }, dir: ramDir },
    ),
    finding: `Pages of ${source} on the source, of ${size} here: ${numbers}`,
    fix: null,
  };
}

/** Bytes of the blocks that lie on a tmpfs, or of those that do not. */
export function plannedBytes(plan: RamPlan, kind: 'small' | 'huge'): number {
  return plan.blocks
    .filter(({ block }) => block.hostPageSizeBytes > RAM_PAGE_SIZE === (kind === 'huge'))
    .reduce((sum, { block }) => sum + block.sizeBytes, 0);
}
