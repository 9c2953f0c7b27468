import type { GuestMemory, MemoryBackend } from './memory-backends.js';

/** The decisions whether a guest can move. Each answers why not and what to change, or null. */

/** What the decisions look at besides memory. */
export interface GuestDevice {
  /** Its id, or its place in the tree when it has none. */
  readonly name: string;
  /** QOM type, for example vfio-pci. */
  readonly type: string;
}

/** QEMU from this version on skips only RAM of named files when it leaves out shared RAM. */
const NAMED_FILES_ONLY_SINCE = { major: 8, minor: 1 };

export interface VmmVersion {
  readonly major: number;
  readonly minor: number;
  /** Whether these are QEMU's own version numbers. */
  readonly isQemu: boolean;
}

export function findMemoryProblem(memory: GuestMemory, version: VmmVersion): string | null {
  if (memory.backends.length === 0)
    return `Guest RAM has no memory backend that another process could map: ${toFileOption('ram0', memory.guestRamBytes)}`;
  for (const backend of memory.backends) {
    const problem = findBackendProblem(backend, version);
    if (problem !== null) return problem;
  }
  const backed = memory.backends.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (memory.guestRamBytes !== null && backed < memory.guestRamBytes)
    return `Only ${backed} of ${memory.guestRamBytes} bytes of guest RAM are in memory backends: ${toFileOption('ram0', memory.guestRamBytes)}`;
  return null;
}

function findBackendProblem(backend: MemoryBackend, version: VmmVersion): string | null {
  const { id, type, shared } = backend;
  const fix = toFileOption(id, backend.sizeBytes);
  if (type === 'memory-backend-ram')
    return `RAM block "${id}" is a memory-backend-ram (what a plain -m gives), which no other process can map: ${fix}`;
  if (type !== 'memory-backend-file' && type !== 'memory-backend-memfd')
    return `RAM block "${id}" is a ${type}, which umem does not know how to map: ${fix}`;
  if (!shared)
    return `RAM block "${id}" is private (share=off), so other processes do not see what the guest writes: add share=on to its -object ${type},id=${id}`;
  const { major, minor } = NAMED_FILES_ONLY_SINCE;
  const isNamedFilesOnly = version.major > major || (version.major === major && version.minor >= minor);
  if (type === 'memory-backend-memfd' && version.isQemu && isNamedFilesOnly)
    return `RAM block "${id}" is a memfd, whose contents QEMU ${version.major}.${version.minor} puts into the device state: ${fix}`;
  return null;
}

/** The options that give a guest RAM that can move. */
function toFileOption(id: string, sizeBytes: number | null): string {
  const size = sizeBytes === null ? 'SIZE' : String(sizeBytes);
  return `start QEMU with -object memory-backend-file,id=${id},size=${size},mem-path=/dev/shm/${id},share=on -machine memory-backend=${id}`;
}

export function findDeviceProblem(devices: readonly GuestDevice[]): string | null {
  for (const { name, type } of devices) {
    if (/^vfio(-user)?-/.test(type))
      return `Device "${name}" (${type}) is passed through by VFIO, which pins all guest memory, so pages cannot arrive later: remove it (device_del ${name}) or use a virtio device`;
    if (/^vhost-vdpa-/.test(type))
      return `Device "${name}" (${type}) uses vDPA, which pins all guest memory, so pages cannot arrive later: remove it (device_del ${name}) or use a virtio device`;
  }
  return null;
}

/** `networks`: output of the human monitor's "info network". */
export function findNetworkProblem(networks: string): string | null {
  const [name] = findNetworks(networks, 'vhost-vdpa');
  if (name === undefined) return null;
  return `Network backend "${name}" is vhost-vdpa, which pins all guest memory, so pages cannot arrive later: use -netdev tap or another backend of QEMU itself`;
}

/**
 * Devices and network backends that are served by a process of their own, which maps guest RAM, for
 * example `disk0 (vhost-user-blk-pci)`. Such a guest can move where every process that maps its RAM is
 * served with pages.
 */
export function findVhostUserDevices(devices: readonly GuestDevice[], networks: string): string[] {
  return [
    ...devices.filter(({ type }) => /^vhost-user-/.test(type)).map(({ name, type }) => `${name} (${type})`),
    ...findNetworks(networks, 'vhost-user').map((name) => `${name} (netdev vhost-user)`),
  ];
}

function findNetworks(networks: string, type: 'vhost-user' | 'vhost-vdpa'): string[] {
  return [...networks.matchAll(/(\S+): index=\d+,type=([\w-]+)/g)].flatMap(([, name, found]) =>
    name !== undefined && found === type ? [name] : [],
  );
}

/**
 * Why a guest with these devices cannot move when pages are placed through the VMM's own userfaultfd
 * (placement COPY), and what to do; null when there are none.
 */
export function findCopyProblem(
  vhostUserDevices: readonly string[],
): { readonly finding: string; readonly fix: string } | null {
  if (vhostUserDevices.length === 0) return null;
  const [devices, verb] = vhostUserDevices.length === 1 ? ['Device', 'is'] : ['Devices', 'are'];
  return {
    finding: `${devices} ${vhostUserDevices.join(', ')} ${verb} served by another process, which maps guest RAM and with placement copy would not wait for pages that have not arrived`,
    fix: 'Use --placement cache, and on the destination start the back end with the environment that "umemctl incoming prepare" prints (LD_PRELOAD, UMEM_RAM, UMEM_HANDOFF)',
  };
}

export function findBlocker(blockedReasons: readonly string[]): string | null {
  if (blockedReasons.length === 0) return null;
  return `The VMM itself refuses to migrate this guest: ${blockedReasons.join('; ')}`;
}
