import { guestImage } from './repository.js';

/** One RAM block of the machine. */
export interface MachineBlock {
  readonly id: string;
  readonly sizeBytes: number;
  /** What backs it on the source. Default 'file'; the destination always uses a file. */
  readonly backing?: 'file' | 'memfd';
}

/** What the guest's workload does; see test/guest/workload/cmdline.h. */
export interface GuestWorkload {
  readonly workingSetMiB: number;
  /** Operations out of 100 that write. Default 10. */
  readonly writePercent?: number;
  /** Writes and verifies /dev/vda, too. Default false. */
  readonly disk?: boolean;
}

/** A machine as both hosts must run it, down to the order of its devices. */
export interface Machine {
  /** Several blocks become one NUMA node each. */
  readonly blocks: readonly MachineBlock[];
  /** Default 1. */
  readonly cpus?: number;
  /** Begin of the paths of a second QMP socket, `…-before` and `…-after`. Default: none. */
  readonly monitor?: string;
  /** Further words of the kernel's command line. */
  readonly kernelOptions?: readonly string[];
  /** Further QEMU arguments, equal on both hosts. */
  readonly devices?: readonly string[];
  readonly workload: GuestWorkload;
}

/** What differs between the two QEMU processes of one machine. */
export interface MachinePlace {
  /** RAM file of each block that has one. */
  readonly ramPaths: ReadonlyMap<string, string>;
  readonly qmpPath: string;
  readonly serialPath: string;
  /** Waits for device state. */
  readonly incoming: boolean;
}

export const QEMU = 'qemu-system-x86_64';

/** QEMU's command line for a machine at a place. */
export function qemuArgs(machine: Machine, place: MachinePlace): string[] {
  const totalBytes = machine.blocks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return [
    ...memoryArgs(machine, place),
    ...['-m', `${totalBytes / 2 ** 20}`, '-smp', `${machine.cpus ?? 1}`, '-accel', 'tcg'],
    ...[
      '-kernel',
      guestImage.kernel,
      '-initrd',
      guestImage.initrd,
      '-append',
      [kernelCommandLine(machine.workload), ...(machine.kernelOptions ?? [])].join(' '),
    ],
    ...['-nodefaults', '-display', 'none', '-no-reboot'],
    ...['-serial', `file:${place.serialPath}`, '-qmp', `unix:${place.qmpPath},server=on,wait=off`],
    ...(machine.devices ?? []),
    ...(machine.monitor === undefined
      ? []
      : ['-qmp', `unix:${monitorPath(machine.monitor, place.incoming)},server=on,wait=off`]),
    ...(place.incoming ? ['-incoming', 'defer'] : []),
  ];
}

/** Path of the second QMP socket: the agents occupy the first. */
export function monitorPath(monitor: string, incoming: boolean): string {
  return `${monitor}-${incoming ? 'after' : 'before'}`;
}

function memoryArgs(machine: Machine, place: MachinePlace): string[] {
  const objects = machine.blocks.flatMap(({ id, sizeBytes }) => {
    const path = place.ramPaths.get(id);
    const backend =
      path === undefined
        ? `memory-backend-memfd,id=${id},size=${sizeBytes},share=on`
        : `memory-backend-file,id=${id},size=${sizeBytes},mem-path=${path},share=on`;
    return ['-object', backend];
  });
  const [only, ...more] = machine.blocks;
  if (only !== undefined && more.length === 0) return ['-M', `q35,memory-backend=${only.id}`, ...objects];
  return ['-M', 'q35', ...objects, ...machine.blocks.flatMap(({ id }) => ['-numa', `node,memdev=${id}`])];
}

function kernelCommandLine({ workingSetMiB, writePercent = 10, disk = false }: GuestWorkload): string {
  return [
    ...['console=ttyS0', 'quiet', 'panic=-1'],
    ...[`umem.ws=${workingSetMiB}`, `umem.write=${writePercent}`, `umem.disk=${disk ? 1 : 0}`],
  ].join(' ');
}
