import { join } from 'node:path';
import { formatBytes } from '@umem/ram';
import { Host } from '../kit/host.js';
import type { IncomingReport } from '../kit/incoming.js';
import { getIncoming } from '../kit/incoming.js';
import type { Lab } from '../kit/lab.js';
import type { Machine } from '../kit/machine.js';
import type { MigrationReport } from '../kit/migration-report.js';
import { isRegistered } from '../kit/process-memory.js';
import { QemuGuest, qemuProfile } from '../kit/qemu-guest.js';
import { SerialConsole } from '../kit/serial-console.js';
import { findTickFault, type Tick } from '../kit/ticks.js';
import { umemctlJson } from '../kit/umemctl.js';
import { migrate, migrateFlags } from './migrate.js';
import type { DemoOptions } from './options.js';
import type { Outcome } from './outcome.js';
import type { Screen } from './screen.js';
import { showTicks } from './show-ticks.js';

const GUEST = 'demo';
const MIB = 2 ** 20;
/** Ticks to wait for after the source is gone. */
const TICKS_ALONE = 5;

/** The main job, told step by step. Throws when a step cannot be done at all. */
export async function tellStory(lab: Lab, screen: Screen, options: DemoOptions): Promise<Outcome> {
  screen.line('umem demo: a running QEMU guest moves to another host by post-copy.');
  const hosts = await startHosts(lab, screen);
  const guest = await bootGuest(lab, screen, options);

  screen.step(`umemctl vm register ${GUEST}`);
  const agent = hosts.source.sourceAgent.address;
  await umemctlJson(['vm', 'register', GUEST, '--agent', agent, '--qmp', guest.qmpPath]);

  const after = new SerialConsole(join(lab.dir, 'serial-after'));
  await hosts.destination.addProfile(GUEST, qemuProfile(machineOf(options), after.path));
  screen.step(`umemctl migrate ${GUEST} ${migrateFlags(options).join(' ')}`);
  if (!options.background) {
    screen.detail('What the guest never touches by itself is touched from outside once it runs there.');
  }
  const migration = await migrate(lab, hosts, GUEST, options);
  if (migration.state !== 'COMPLETED') throw new Error(`The migration is ${migration.state}.`);

  const ticksBefore = await guest.console.ticks();
  screen.detail('The last ticks on the source and the first on the destination:');
  for (const tick of ticksBefore.slice(-2)) screen.tick(tick);
  await showTicks(screen, after, 0);
  const registered = await hasRegisteredMemory(await getIncoming(hosts.destination, GUEST));

  screen.step("Source QEMU and the source's three services are killed; the guest goes on alone.");
  const sourceGone = await killSource(hosts.source, guest);
  const alone = await watchAlone(screen, after);
  return toOutcome(migration, ticksBefore, await after.ticks(), alone, { registered, sourceGone });
}

async function startHosts(lab: Lab, screen: Screen): Promise<{ source: Host; destination: Host }> {
  screen.step('Two hosts start, each with a source-agent, a destination-agent and a page-server.');
  const [source, destination] = await Promise.all([
    Host.start(lab, 'source'),
    Host.start(lab, 'destination'),
  ]);
  for (const { name, sourceAgent, destinationAgent } of [source, destination]) {
    const addresses = `source-agent ${sourceAgent.address}   destination-agent ${destinationAgent.address}`;
    screen.detail(`${name.padEnd(11)}   ${addresses}`);
  }
  return { source, destination };
}

async function bootGuest(lab: Lab, screen: Screen, options: DemoOptions): Promise<QemuGuest> {
  screen.step(
    `A guest boots on the source: ${formatBytes(options.memoryBytes)} of RAM, ` +
      `${formatBytes(options.workingSetBytes)} of it verified, page by page, and written all the time.`,
  );
  const guest = await QemuGuest.boot(lab, GUEST, machineOf(options));
  await showTicks(screen, guest.console, 0);
  return guest;
}

function machineOf({ memoryBytes, workingSetBytes }: DemoOptions): Machine {
  return {
    blocks: [{ id: 'ram0', sizeBytes: memoryBytes }],
    workload: { workingSetMiB: workingSetBytes / MIB },
  };
}

async function hasRegisteredMemory({ vmmPid, ram }: IncomingReport): Promise<boolean> {
  if (vmmPid === null) throw new Error('The destination-agent does not know the process id of its QEMU.');
  const registered = await Promise.all(ram.map(({ path }) => isRegistered(vmmPid, path)));
  return registered.includes(true);
}

async function killSource(source: Host, guest: QemuGuest): Promise<boolean> {
  await guest.process.kill();
  for (const { child } of source.services) await child.kill();
  return !guest.process.running && source.services.every(({ child }) => !child.running);
}

/** What the guest did when nothing of the source was left. */
interface Alone {
  readonly ticks: number;
  readonly verified: boolean;
}

async function watchAlone(screen: Screen, console: SerialConsole): Promise<Alone> {
  const since = await console.lastTick();
  const number = since?.number ?? 0;
  await showTicks(screen, console, number);
  // Two more sweeps: the first may have begun while the source was still there.
  const sweeps = (since?.sweeps ?? 0) + 2;
  const last = await console.waitForTick(
    (tick) => tick.number >= number + TICKS_ALONE && tick.sweeps >= sweeps,
  );
  return { ticks: last.number - number, verified: last.sweeps >= sweeps };
}

function toOutcome(
  migration: MigrationReport,
  before: readonly Tick[],
  after: readonly Tick[],
  alone: Alone,
  source: { readonly registered: boolean; readonly sourceGone: boolean },
): Outcome {
  const life = [...before, ...after];
  return {
    migration,
    guest: {
      mismatches: Math.max(...life.map(({ mismatches }) => mismatches)),
      ticksAfter: after.length,
      ticksAlone: alone.ticks,
      tickFault: findTickFault(life),
      verifiedAlone: alone.verified,
    },
    ...source,
  };
}
