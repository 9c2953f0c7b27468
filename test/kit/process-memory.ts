import { readFile, readdir, readlink } from 'node:fs/promises';

/** One mapping of a process. proc(5), smaps. */
export interface Mapping {
  readonly path: string;
  readonly flags: readonly string[];
}

/** Mappings of a file in a process, with their VmFlags. */
export async function mappingsOf(pid: number, path: string): Promise<Mapping[]> {
  const smaps = await readFile(`/proc/${pid}/smaps`, 'utf8');
  const mappings: Mapping[] = [];
  let current: string | null = null;
  for (const line of smaps.split('\n')) {
    const header = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$/.exec(line);
    if (header !== null) current = header[1] ?? '';
    if (line.startsWith('VmFlags:') && current === path) {
      mappings.push({ path, flags: line.slice('VmFlags:'.length).trim().split(' ') });
    }
  }
  return mappings;
}

/** True when a mapping of the file still waits for missing pages (VmFlags has `um`). */
export async function isRegistered(pid: number, path: string): Promise<boolean> {
  const mappings = await mappingsOf(pid, path);
  if (mappings.length === 0) throw new Error(`Process ${pid} does not map ${path}`);
  return mappings.some(({ flags }) => flags.includes('um'));
}

/** What the descriptors of a process refer to; those that close while we look are left out. */
export async function openFiles(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const targets = (await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => null));
  return (await Promise.all(targets)).filter((target) => target !== null);
}

/** True while the process exists and is no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => null);
  return status !== null && !/^State:\s+[ZX]/m.test(status);
}
