import { readdir, readlink, stat } from 'node:fs/promises';

/** One open regular file of another process. */
export interface OpenFile {
  readonly fd: number;
  /** Device and inode, to compare with others'. */
  readonly identity: string;
  readonly sizeBytes: number;
  /** Target of its link in /proc/<pid>/fd. */
  readonly link: string;
}

/** A process's open regular files, each file once, by ascending descriptor. proc(5). */
export async function readOpenFiles(pid: number): Promise<OpenFile[]> {
  const files = new Map<string, OpenFile>();
  const fds = (await readdir(`/proc/${pid}/fd`)).map(Number).sort((a, b) => a - b);
  for (const fd of fds) {
    const path = `/proc/${pid}/fd/${fd}`;
    try {
      const link = await readlink(path);
      if (!link.startsWith('/')) continue;
      const info = await stat(path, { bigint: true });
      const identity = toIdentity(info);
      if (info.isFile() && !files.has(identity))
        files.set(identity, { fd, identity, sizeBytes: Number(info.size), link });
    } catch (error) {
      // The process closed it between our two looks: then it is no RAM.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return [...files.values()];
}

export function toIdentity({ dev, ino }: { dev: bigint; ino: bigint }): string {
  return `${dev}:${ino}`;
}
