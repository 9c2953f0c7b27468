import { fstatSync, readdirSync, readFileSync, readlinkSync, statfsSync, statSync } from 'node:fs';

/** Magic number of hugetlbfs, whose pages are all of one size. statfs(2). */
const HUGETLBFS_MAGIC = 0x9584_58f6;

const SETTINGS = '/sys/kernel/mm/transparent_hugepage';
const SHMEM_ENABLED = `${SETTINGS}/shmem_enabled`;
/** From the one that gives most huge pages to the one that gives none. */
const STRENGTH = ['force', 'always', 'within_size', 'advise', 'never', 'deny', ''];

/** What decides whether transparent huge pages may back a file. */
export interface HugePageFacts {
  /** The kernel's setting: always, within_size, advise, never, deny or force; empty when it has none. */
  readonly shmemEnabled: string;
  /** `huge=` of the tmpfs mount, `never` when it has none; null for a memfd, which has no mount. */
  readonly mountHuge: string | null;
  /** A process asks for huge pages where it maps the file (MADV_HUGEPAGE). */
  readonly isAdvised: boolean;
}

/**
 * Why transparent huge pages could back a file of shared memory, and what to do; null when they cannot. With
 * them, one arrived page could bring 511 empty neighbours into the guest.
 */
export function findHugePageRisk({ shmemEnabled, mountHuge, isAdvised }: HugePageFacts): string | null {
  if (shmemEnabled === 'deny' || shmemEnabled === '') return null;
  if (shmemEnabled === 'force') return `${SHMEM_ENABLED} is "force": set it to "never" or "deny"`;
  const rule = mountHuge ?? shmemEnabled;
  const place = mountHuge === null ? SHMEM_ENABLED : 'the huge= option of its tmpfs mount';
  if (rule === 'never') return null;
  if (rule === 'advise' && !isAdvised) return null;
  const why = rule === 'advise' ? ' and a process asks for huge pages there' : '';
  const remedy = mountHuge === null ? 'set it to "never" or "deny"' : 'mount it with huge=never';
  return `${place} is "${rule}"${why}: ${remedy}`;
}

/** The word in brackets of a setting like "always [madvise] never". */
function chosen(path: string): string {
  try {
    return /\[(\w+)\]/.exec(readFileSync(path, 'utf8'))?.[1] ?? '';
  } catch {
    // A kernel without transparent huge pages has no such file.
    return '';
  }
}

/** The setting for memfds: kernels since 6.11 have one for each size of huge page. */
function memfdSetting(): string {
  const overall = chosen(SHMEM_ENABLED);
  if (overall === 'force' || overall === 'deny' || overall === '') return overall;
  const sizes = readdirSync(SETTINGS).filter((name) => name.startsWith('hugepages-'));
  const settings = sizes.map((name) => chosen(`${SETTINGS}/${name}/shmem_enabled`)).filter(Boolean);
  const rules = settings.map((setting) => (setting === 'inherit' ? overall : setting));
  if (rules.length === 0) return overall;
  return STRENGTH.find((rule) => rules.includes(rule)) ?? overall;
}

/** `huge=` of the mount with this device number; null when no mount that we see has it. */
function mountHugeOf(dev: number): string | null {
  const major = Math.floor(dev / 256) % 4096;
  const minor = (dev % 256) + Math.floor(dev / 2 ** 20) * 256;
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [mount = '', rest = ''] = line.split(' - ');
    if (mount.split(' ')[2] !== `${major}:${minor}`) continue;
    return /(?:^|,)huge=(\w+)/.exec(rest.split(' ')[2] ?? '')?.[1] ?? 'never';
  }
  return null;
}

/** True when process `pid` has the file mapped where it asked for huge pages (flag `hg` in smaps). proc(5). */
function isAdvisedBy(pid: number, inode: number): boolean {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/smaps`, 'utf8');
  } catch {
    // The process is gone, or not ours to look at: what is not known is not excluded.
    return true;
  }
  let isOurs = false;
  for (const line of text.split('\n')) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ (\d+)/.exec(line);
    if (mapping) isOurs = Number(mapping[1]) === inode;
    else if (isOurs && /^VmFlags:.* hg(?: |$)/.test(line)) return true;
  }
  return false;
}

/** `findHugePageRisk` for an open file that process `pid` has mapped; null on hugetlbfs, where it does not apply. */
export function findHugePageRiskOf(fd: number, pid: number): string | null {
  const path = `/proc/self/fd/${fd}`;
  if (statfsSync(path).type === HUGETLBFS_MAGIC) return null;
  const { dev, ino } = fstatSync(fd);
  const isMemfd = readlinkSync(path).startsWith('/memfd:');
  return findHugePageRisk({
    shmemEnabled: isMemfd ? memfdSetting() : chosen(SHMEM_ENABLED),
    mountHuge: isMemfd ? null : mountHugeOf(dev),
    isAdvised: isAdvisedBy(pid, ino),
  });
}

/** `findHugePageRisk` for files that will be made in a directory and mapped by a VMM that asks for huge pages. */
export function findHugePageRiskIn(directory: string): string | null {
  if (statfsSync(directory).type === HUGETLBFS_MAGIC) return null;
  const { dev } = statSync(directory);
  return findHugePageRisk({
    shmemEnabled: chosen(SHMEM_ENABLED),
    mountHuge: mountHugeOf(dev),
    isAdvised: true,
  });
}
