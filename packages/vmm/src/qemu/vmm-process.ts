import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { QmpError } from './qmp-error.js';
import type { QmpClient } from './qmp-client.js';
import { cpusReply } from './qmp-replies.js';

/** Bit of a listening socket in /proc/net/unix: __SO_ACCEPTCON. */
const LISTENING = 0x10000;

/**
 * The process behind a QMP socket, in our PID namespace: the one that holds the listening socket.
 * When the socket cannot be seen (another network namespace), the process that the vCPU threads
 * belong to, if `ownsRam` recognises it. Null when it cannot be found.
 */
export async function findVmmPid(
  qmp: QmpClient,
  qmpPath: string,
  ownsRam: (pid: number) => Promise<boolean>,
): Promise<number | null> {
  const byThread = await readThreadOwner(qmp);
  const inodes = await readListeningInodes(qmpPath);
  if (inodes.size > 0) {
    if (byThread !== null && (await holdsSocket(byThread, inodes))) return byThread;
    const holders = await findHolders(inodes);
    if (holders.length === 1) return holders[0] ?? null;
    for (const pid of holders) if (await ownsRam(pid)) return pid;
  }
  return byThread !== null && (await ownsRam(byThread)) ? byThread : null;
}

/** Thread group of the first vCPU thread; null when that number means nothing in our PID namespace. */
async function readThreadOwner(qmp: QmpClient): Promise<number | null> {
  try {
    const [cpu] = await qmp.execute('query-cpus-fast', cpusReply);
    if (cpu === undefined) return null;
    const status = await readFile(`/proc/${cpu['thread-id']}/status`, 'utf8');
    const tgid = /^Tgid:\s*(\d+)$/m.exec(status)?.[1];
    return tgid === undefined ? null : Number(tgid);
  } catch (error) {
    if (error instanceof QmpError || isProcError(error)) return null;
    throw error;
  }
}

/** Inodes of the sockets that listen at a path. A VMM may have bound it by a relative path. */
async function readListeningInodes(qmpPath: string): Promise<Set<string>> {
  const inodes = new Set<string>();
  const wanted = new Set([qmpPath, await realpath(qmpPath).catch(() => qmpPath)]);
  for (const line of (await readFile('/proc/net/unix', 'utf8')).split('\n')) {
    const [, flags, inode, bound] =
      /^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]+) [0-9A-F]+ [0-9A-F]+ +(\d+) (.+)$/.exec(line) ?? [];
    if (flags === undefined || inode === undefined || bound === undefined) continue;
    if ((parseInt(flags, 16) & LISTENING) === 0) continue;
    if (wanted.has(bound) || (!isAbsolute(bound) && (await isBoundRelative(bound, inode, wanted))))
      inodes.add(inode);
  }
  return inodes;
}

async function isBoundRelative(bound: string, inode: string, wanted: Set<string>): Promise<boolean> {
  const name = bound.slice(bound.lastIndexOf('/') + 1);
  if (![...wanted].some((path) => path.endsWith(`/${name}`))) return false;
  for (const pid of await findHolders(new Set([inode]))) {
    const directory = await readlink(`/proc/${pid}/cwd`).catch(() => null);
    if (directory !== null && wanted.has(resolve(directory, bound))) return true;
  }
  return false;
}

async function findHolders(inodes: ReadonlySet<string>): Promise<number[]> {
  const pids: number[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (Number.isInteger(pid) && (await holdsSocket(pid, inodes))) pids.push(pid);
  }
  return pids;
}

async function holdsSocket(pid: number, inodes: ReadonlySet<string>): Promise<boolean> {
  try {
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
      if (inode !== undefined && inodes.has(inode)) return true;
    }
    return false;
  } catch (error) {
    if (isProcError(error)) return false;
    throw error;
  }
}

/** A process that has ended, or that we may not look into: then it is not one that we can use. */
function isProcError(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    ['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR'].includes(String(error.code))
  );
}
