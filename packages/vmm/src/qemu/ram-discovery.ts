import { HostPrecondition } from '@umem/errors';
import { findBlockProblem } from '@umem/ram';
import type { DiscoveredBlock, RamBacking, VmDescription } from '../vmm.js';
import { findFileBacking, readHostPageSize } from './file-backing.js';
import { readDevices, readNetworks } from './guest-devices.js';
import { findMemfdBacking } from './memfd-backing.js';
import { readGuestMemory, type MemoryBackend } from './memory-backends.js';
import {
  findDeviceProblem,
  findMemoryProblem,
  findNetworkProblem,
  findVhostUserDevices,
} from './movability.js';
import { readOpenFiles, type OpenFile } from './open-files.js';
import type { QmpClient } from './qmp-client.js';
import { toVersion, toVersionText } from './version.js';
import { findVmmPid } from './vmm-process.js';

/** Reads a VM's RAM from its QMP connection; HostPrecondition when it cannot be moved. */
export async function describeVm(qmp: QmpClient, qmpPath: string): Promise<VmDescription> {
  const memory = await readGuestMemory(qmp);
  refuse(findMemoryProblem(memory, toVersion(qmp.version)));
  const devices = await readDevices(qmp);
  const networks = await readNetworks(qmp);
  refuse(findDeviceProblem(devices));
  refuse(findNetworkProblem(networks));

  const pid = await findVmmPid(qmp, qmpPath, (candidate) => ownsAll(qmp, memory.backends, candidate));
  const open = pid === null ? null : await readOpenFilesIfAllowed(pid);
  const blocks: DiscoveredBlock[] = [];
  for (const backend of memory.backends) {
    const backing = await findBacking(qmp, backend, pid, open);
    const hostPageSizeBytes = await readHostPageSize(toPath(backing));
    blocks.push({ blockId: backend.id, sizeBytes: backend.sizeBytes, hostPageSizeBytes, backing });
  }
  refuse(findBlockProblem(blocks));
  const vhostUserDevices = findVhostUserDevices(devices, networks);
  return { version: toVersionText(qmp.version), pid, blocks, vhostUserDevices };
}

/** Path under which this process can open a block's bytes. */
export function toPath(backing: RamBacking): string {
  return backing.kind === 'file' ? backing.path : `/proc/${backing.pid}/fd/${backing.fd}`;
}

function findBacking(
  qmp: QmpClient,
  backend: MemoryBackend,
  pid: number | null,
  open: readonly OpenFile[] | null,
): Promise<RamBacking> {
  return backend.type === 'memory-backend-memfd'
    ? findMemfdBacking(qmp, backend, pid, open)
    : findFileBacking(backend, pid, open);
}

/** Whether a process has every RAM block open, and so must be the VMM. */
async function ownsAll(qmp: QmpClient, backends: readonly MemoryBackend[], pid: number): Promise<boolean> {
  const open = await readOpenFilesIfAllowed(pid);
  if (open === null) return false;
  try {
    for (const backend of backends) await findBacking(qmp, backend, pid, open);
    return true;
  } catch (error) {
    if (error instanceof HostPrecondition) return false;
    throw error;
  }
}

/** Null when we may not look into the process, or it has ended. */
async function readOpenFilesIfAllowed(pid: number): Promise<OpenFile[] | null> {
  try {
    return await readOpenFiles(pid);
  } catch (error) {
    if (
      error instanceof Error &&
      'code' in error &&
      ['EACCES', 'EPERM', 'ENOENT', 'ESRCH'].includes(String(error.code))
    )
      return null;
    throw error;
  }
}

function refuse(problem: string | null): void {
  if (problem !== null) throw new HostPrecondition(problem);
}
