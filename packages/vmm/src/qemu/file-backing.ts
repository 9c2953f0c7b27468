import { stat, statfs } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { HostPrecondition, messageOf } from '@umem/errors';
import type { RamBacking } from '../vmm.js';
import type { MemoryBackend } from './memory-backends.js';
import { toIdentity, type OpenFile } from './open-files.js';

/** statfs(2) f_type of hugetlbfs. */
const HUGETLBFS_MAGIC = 0x958458f6;

/**
 * Where a memory-backend-file's bytes are. `open`: the VMM's open files; null when we cannot see
 * them. The path counts only when the VMM has that very file open, for it may have been replaced,
 * deleted, or mean something else in the VMM's mount namespace or directory.
 */
export async function findFileBacking(
  backend: MemoryBackend,
  pid: number | null,
  open: readonly OpenFile[] | null,
): Promise<RamBacking> {
  const path = backend.path ?? '';
  const named = isAbsolute(path) ? await readFileIdentity(path, backend.sizeBytes) : null;
  if (pid === null || open === null) {
    if (named !== null) return { kind: 'file', path };
    throw new HostPrecondition(
      `RAM file ${JSON.stringify(path)} of block "${backend.id}" is not here, and the VMM's process cannot be seen: give QEMU an absolute mem-path on this host, or run the agent in the host's PID namespace`,
      { metadata: { blockId: backend.id, path } },
    );
  }
  if (open.some(({ identity }) => identity === named)) return { kind: 'file', path };
  const file = open.find(
    ({ link, sizeBytes }) => sizeBytes >= backend.sizeBytes && isFileOf(backend, path, link),
  );
  if (file !== undefined) return { kind: 'memfd', pid, fd: file.fd };
  throw new HostPrecondition(
    `The VMM (process ${pid}) does not have RAM file ${JSON.stringify(path)} of block "${backend.id}" open: somebody may have replaced the file after the VMM started; restart the VM`,
    { metadata: { blockId: backend.id, path, pid: String(pid) } },
  );
}

/** Identity of a regular file that is large enough; null when there is no such file. */
async function readFileIdentity(path: string, sizeBytes: number): Promise<string | null> {
  try {
    const info = await stat(path, { bigint: true });
    return info.isFile() && info.size >= BigInt(sizeBytes) ? toIdentity(info) : null;
  } catch (error) {
    // Deleted, or a path in another mount namespace: the VMM's own descriptor is looked for instead.
    if (error instanceof Error && 'code' in error) return null;
    throw error;
  }
}

/** Whether an open file is the one that QEMU made for a backend: at the path, or nameless in that directory. */
function isFileOf(backend: MemoryBackend, path: string, link: string): boolean {
  const file = link.replace(/ \(deleted\)$/, '');
  if (file === path) return true;
  if (!isAbsolute(path) && path !== '' && file.endsWith(`/${path.replace(/^(\.\/)+/, '')}`)) return true;
  const directory = path.replace(/\/+$/, '');
  const id = backend.id.replaceAll('/', '_');
  return (
    file.startsWith(`${directory}/qemu_back_mem.${id}.`) || file.includes(`/qemu_back_mem._objects_${id}.`)
  );
}

/** Size of the pages that back a file, in bytes. */
export async function readHostPageSize(path: string): Promise<number> {
  try {
    const { type, bsize } = await statfs(path);
    return type === HUGETLBFS_MAGIC ? bsize : 4096;
  } catch (cause) {
    throw new HostPrecondition(`Cannot find out the page size of ${path}: ${messageOf(cause)}`, { cause });
  }
}
