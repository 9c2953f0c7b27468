import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Host, type HostFlags } from './host.js';
import { getIncoming } from './incoming.js';
import type { Lab } from './lab.js';
import type { Machine } from './machine.js';
import { toMigrationReport, type MigrationReport } from './migration-report.js';
import { isRegistered } from './process-memory.js';
import { QemuGuest, qemuProfile } from './qemu-guest.js';
import { SerialConsole } from './serial-console.js';
import { findTickFault, type Tick } from './ticks.js';
import { umemctlJson } from './umemctl.js';

export const VM = 'vm1';

/** A QEMU guest on one host, and another host to which it can move. */
export interface QemuMove {
  readonly source: Host;
  readonly destination: Host;
  readonly guest: QemuGuest;
  /** The guest's console on the destination. */
  readonly after: SerialConsole;
}

export interface QemuMoveOptions {
  /** Where the RAM files of the source are. Default: on tmpfs. */
  readonly ramDir?: string;
  readonly destination?: HostFlags;
}

/** Boots and registers the guest; the destination has a launch profile for it. */
export async function startQemuMove(
  lab: Lab,
  machine: Machine,
  options: QemuMoveOptions = {},
): Promise<QemuMove> {
  const [source, destination] = await Promise.all([
    Host.start(lab, 'source'),
    Host.start(lab, 'destination', options.destination),
  ]);
  const guest = await QemuGuest.boot(lab, VM, machine, options.ramDir);
  const after = new SerialConsole(join(lab.dir, 'serial-after'));
  await destination.addProfile(VM, qemuProfile(machine, after.path));
  await umemctlJson(['vm', 'register', VM, '--agent', source.sourceAgent.address, '--qmp', guest.qmpPath]);
  return { source, destination, guest, after };
}

/** `umemctl migrate`, which must succeed. */
export async function migrate(
  { source, destination }: QemuMove,
  ...flags: readonly string[]
): Promise<MigrationReport> {
  const hosts = [
    ...['--source', source.sourceAgent.address],
    ...['--destination', destination.destinationAgent.address],
  ];
  return toMigrationReport(await umemctlJson(['migrate', VM, ...hosts, ...flags]));
}

/** Kills everything of the source, waits until the guest has verified all it has twice, and answers its whole life. */
export async function liveAlone({ source, guest, after }: QemuMove): Promise<Tick[]> {
  await guest.process.kill();
  for (const service of source.services) await service.kill();
  const since = await after.lastTick();
  await after.waitForTick(
    ({ number, sweeps }) => number > (since?.number ?? 0) + 2 && sweeps >= (since?.sweeps ?? 0) + 2,
  );
  return [...(await guest.console.ticks()), ...(await after.ticks())];
}

/** What is wrong with a guest's life, with its RAM on the destination, or null. */
export async function findFault(move: QemuMove, life: readonly Tick[]): Promise<string | null> {
  const { vmmPid, ram } = await getIncoming(move.destination, VM);
  for (const { id, path } of ram) {
    if (vmmPid !== null && (await isRegistered(vmmPid, path))) return `${id} is still registered`;
  }
  return findTickFault(life);
}

/** Makes an empty raw disk image. */
export function makeDisk(lab: Lab, sizeMiB: number): string {
  const path = join(lab.dir, 'disk.img');
  const { status } = spawnSync('truncate', ['-s', `${sizeMiB}M`, path]);
  if (status !== 0) throw new Error(`Could not make ${path}`);
  return path;
}
