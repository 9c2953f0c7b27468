import { HostPrecondition } from '@umem/errors';
import type { RamBacking } from '../vmm.js';
import { locateByAddress } from './guest-address.js';
import type { MemoryBackend } from './memory-backends.js';
import type { OpenFile } from './open-files.js';
import type { QmpClient } from './qmp-client.js';

/** Where a memory-backend-memfd's bytes are: the VMM's memfd of that name and size. */
export async function findMemfdBacking(
  qmp: QmpClient,
  backend: MemoryBackend,
  pid: number | null,
  open: readonly OpenFile[] | null,
): Promise<RamBacking> {
  if (pid === null || open === null)
    throw new HostPrecondition(
      `RAM block "${backend.id}" is a memfd of a process that cannot be seen: run the agent as root in the host's PID namespace, or start QEMU with memory-backend-file`,
      { metadata: { blockId: backend.id } },
    );
  const candidates = findCandidates(backend, open);
  const [first] = candidates;
  if (first === undefined)
    throw new HostPrecondition(
      `The VMM (process ${pid}) has no memfd of ${backend.sizeBytes} bytes for RAM block "${backend.id}"`,
      { metadata: { blockId: backend.id, pid: String(pid) } },
    );
  if (candidates.length === 1) return { kind: 'memfd', pid, fd: first.fd };

  // Several blocks of one size: only their addresses tell them apart.
  const inode = await locateByAddress(qmp, backend.id, pid);
  const located = candidates.find(({ identity }) => inode !== null && identity.endsWith(`:${inode}`));
  if (located === undefined)
    throw new HostPrecondition(
      `RAM block "${backend.id}" is one of ${candidates.length} memfds of ${backend.sizeBytes} bytes that cannot be told apart: start QEMU with memory-backend-file and one mem-path each`,
      { metadata: { blockId: backend.id, candidates: String(candidates.length) } },
    );
  return { kind: 'memfd', pid, fd: located.fd };
}

/** QEMU names every memfd after the object's type; others name it after the block. */
function findCandidates(backend: MemoryBackend, open: readonly OpenFile[]): OpenFile[] {
  const memfds = open.filter(
    ({ link, sizeBytes }) => link.startsWith('/memfd:') && sizeBytes === backend.sizeBytes,
  );
  const named = (name: string) =>
    memfds.filter(({ link }) => link.replace(/ \(deleted\)$/, '') === `/memfd:${name}`);
  const own = named(backend.id);
  return own.length > 0 ? own : named('memory-backend-memfd');
}
