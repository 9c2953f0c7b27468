import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import type { PageRange } from '@umem/ram';
import { TARGET_PAGE_SIZE } from '@umem/ram';

/** Where a process has a part of a RAM file in its memory. */
export interface FileMapping {
  readonly pid: number;
  /** Below 2^47, so exact. */
  readonly address: number;
  /** The part of the file, in target pages. */
  readonly pages: PageRange;
}

/** The processes of this host that map a file shared and readable. proc(5). Rejects when the file is gone. */
export async function findMappings(
  path: string,
  isExcluded: (pid: number) => boolean,
): Promise<FileMapping[]> {
  const { dev, ino } = await stat(path);
  const found: FileMapping[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid || isExcluded(pid)) continue;
    // It has ended meanwhile, or is not ours to look at: then it is no VMM of ours.
    const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
    for (const mapping of parseMaps(maps, { dev, ino })) found.push({ pid, ...mapping });
  }
  return found;
}

/** The shared, readable mappings of one file in the text of /proc/<pid>/maps. */
export function parseMaps(maps: string, file: { dev: number; ino: number }): Omit<FileMapping, 'pid'>[] {
  const found: Omit<FileMapping, 'pid'>[] = [];
  for (const line of maps.split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r..s ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)/.exec(line);
    if (!match) continue;
    const [start, end, offset, major, minor] = match.slice(1, 6).map((hex) => parseInt(hex, 16));
    if (start === undefined || end === undefined || offset === undefined) continue;
    if (Number(match[6]) !== file.ino || toDevice(major ?? 0, minor ?? 0) !== file.dev) continue;
    found.push({
      address: start,
      pages: { pgoff: offset / TARGET_PAGE_SIZE, pageCount: (end - start) / TARGET_PAGE_SIZE },
    });
  }
  return found;
}

/** As stat(2) joins the two, which maps show apart: makedev(3). */
function toDevice(major: number, minor: number): number {
  // Unsigned: a minor number has 20 bits, and the kernel numbers its own file systems through all of them.
  return (((major & 0xfff) << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12)) >>> 0;
}

/** The processes that have a Unix socket bound to `path` open, or a connection to it. */
export async function findSocketOwners(path: string): Promise<Set<number>> {
  const links = new Set<string>();
  for (const line of (await readFile('/proc/net/unix', 'utf8')).split('\n')) {
    // Address, counters and state; then the inode and the path, which may have blanks. proc_net(5).
    const [, inode, bound] = /^(?:\S+ +){6}(\d+) (.+)$/.exec(line) ?? [];
    if (bound === path) links.add(`socket:[${inode}]`);
  }
  const owners = new Set<number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    for (const fd of await readdir(`/proc/${name}/fd`).catch(() => []))
      if (links.has(await readlink(`/proc/${name}/fd/${fd}`).catch(() => ''))) owners.add(Number(name));
  }
  return owners;
}
