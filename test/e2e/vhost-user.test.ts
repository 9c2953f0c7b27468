import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventuallyTrue } from '../kit/eventually.js';
import { getIncoming, type IncomingReport } from '../kit/incoming.js';
import type { Lab } from '../kit/lab.js';
import { test } from '../kit/lab-test.js';
import { monitorPath, QEMU, qemuArgs, type Machine } from '../kit/machine.js';
import { isRegistered } from '../kit/process-memory.js';
import { liveAlone, makeDisk, startQemuMove, VM, type QemuMove } from '../kit/qemu-move.js';
import { reportOf } from '../kit/process-move.js';
import { QmpMonitor } from '../kit/qmp-monitor.js';
import { SerialConsole } from '../kit/serial-console.js';
import { findTickFault } from '../kit/ticks.js';
import { startUmemctl, umemctl, umemctlJson } from '../kit/umemctl.js';
import { startVhostUserDisk, type VhostUserDisk } from '../kit/vhost-user-disk.js';

const MIB = 2 ** 20;
const DEVICE = 'disk0 (vhost-user-blk-pci)';

/** A guest with one disk that another process serves; it moves to a VMM that the test starts. */
class DiskMove {
  private constructor(
    private readonly lab: Lab,
    private readonly image: string,
    readonly move: QemuMove,
  ) {}

  static async start(lab: Lab): Promise<DiskMove> {
    const image = makeDisk(lab, 16);
    const disk = await startVhostUserDisk(lab, { name: 'source disk', image });
    const move = await startQemuMove(lab, machineWith(disk));
    await move.guest.console.waitForTick(({ diskOps }) => diskOps > 100);
    return new DiskMove(lab, image, move);
  }

  get monitor(): string {
    return join(this.lab.dir, 'monitor');
  }

  async prepare(): Promise<IncomingReport> {
    const { source, destination } = this.move;
    const hosts = ['--agent', destination.destinationAgent.address, '--source', source.sourceAgent.address];
    return (await umemctlJson([
      ...['incoming', 'prepare', VM, ...hosts, '--placement', 'cache'],
    ])) as IncomingReport;
  }

  startDisk(name: string, env: Readonly<Record<string, string>>): Promise<VhostUserDisk> {
    return startVhostUserDisk(this.lab, { name, image: this.image, env });
  }

  /** Starts the back end and the VMM of the destination. */
  async startDestination(
    prepared: IncomingReport,
    backEndEnv: Readonly<Record<string, string>>,
  ): Promise<{ disk: VhostUserDisk; console: SerialConsole }> {
    const { lab } = this;
    const disk = await this.startDisk('destination disk', backEndEnv);
    const console = new SerialConsole(join(lab.dir, 'serial-destination'));
    await lab.start({
      name: 'destination QEMU',
      command: QEMU,
      args: qemuArgs(
        { ...machineWith(disk), monitor: this.monitor },
        {
          ramPaths: new Map(prepared.ram.map(({ id, path }) => [id, path])),
          qmpPath: prepared.qmp,
          serialPath: console.path,
          incoming: true,
        },
      ),
      env: prepared.env,
    });
    await eventuallyTrue('the destination QEMU to make its console', () => existsSync(console.path));
    return { disk, console };
  }
}

function machineWith(disk: VhostUserDisk): Machine {
  return {
    blocks: [{ id: 'ram0', sizeBytes: 256 * MIB }],
    devices: disk.qemuArgs,
    workload: { workingSetMiB: 96, writePercent: 30, disk: true },
  };
}

/** Waits until QEMU has noticed that the back end is there, or is not. */
function diskIsConnected(qmp: QmpMonitor, connected: boolean): Promise<void> {
  return eventuallyTrue(`QEMU to see the back end ${connected ? 'come' : 'go'}`, async () => {
    const chardevs = (await qmp.execute('query-chardev')) as { label: string; filename: string }[];
    const disk = chardevs.find(({ label }) => label === 'disk0-chardev');
    return disk?.filename.startsWith('disconnected:') === !connected;
  });
}

describe('a guest with a vhost-user disk', () => {
  test('is registered, shown as one that needs placement cache, and not moved with placement copy', async ({
    lab,
  }) => {
    const { move } = await DiskMove.start(lab);
    const agent = ['--agent', move.source.sourceAgent.address];
    expect(await umemctlJson(['vm', 'get', VM, ...agent])).toMatchObject({ needsPlacementCache: [DEVICE] });
    const { stdout } = await umemctl(['vm', 'list', ...agent]);
    expect(stdout).toContain(`needs placement cache: ${DEVICE}`);
    const { address } = move.destination.destinationAgent;
    const hosts = ['--source', move.source.sourceAgent.address, '--destination', address];
    const refused = await umemctl(['migrate', VM, ...hosts, '--json']);
    expect(refused.exitCode).toBe(3);
    expect(refused.stderr).toContain(DEVICE);
    expect(refused.stderr).toContain('--placement cache');
    const prepared = await umemctl([
      ...['incoming', 'prepare', VM, '--agent', address, '--source', move.source.sourceAgent.address],
    ]);
    expect(prepared.exitCode).toBe(3);
    expect(prepared.stderr).toContain('[vhost-user]');
    await move.guest.console.waitForTick(({ diskOps }) => diskOps > 200);
  });

  test('moves with placement cache, and its disk works during the migration and ever after', async ({
    lab,
  }) => {
    const diskMove = await DiskMove.start(lab);
    const { move } = diskMove;
    const { source, destination } = move;
    const prepared = await diskMove.prepare();
    const { disk, console } = await diskMove.startDestination(prepared, prepared.env);
    const path = prepared.ram[0]?.path ?? '';

    // With little background the disk works on memory most of which is missing.
    const hosts = [
      ...['--source', source.sourceAgent.address],
      ...['--destination', destination.destinationAgent.address],
    ];
    const migrating = await startUmemctl(lab, ['migrate', VM, ...hosts, '--max-bandwidth', '4MiB', '--json']);
    const atMove = await console.waitForTick(({ number }) => number > 0, 60_000);
    expect(await isRegistered(disk.process.pid, path)).toBe(true);
    const during = await console.waitForTick(({ diskOps }) => diskOps > atMove.diskOps + 300, 60_000);
    expect((await getIncoming(destination, VM)).state).toBe('RESUMED');
    expect(during.mismatches).toBe(0);
    await umemctlJson([
      'migration',
      'set',
      VM,
      '--agent',
      source.sourceAgent.address,
      '--max-bandwidth',
      '0',
    ]);
    expect(await reportOf(migrating)).toMatchObject({ state: 'COMPLETED', pages: { remaining: 0 } });
    expect(await isRegistered(disk.process.pid, path)).toBe(false);

    // Started anew, the back end maps guest RAM again, with nobody there to hand it over to.
    const qmp = await QmpMonitor.connect(monitorPath(diskMove.monitor, true));
    await disk.process.kill();
    await diskIsConnected(qmp, false);
    const restarted = await diskMove.startDisk('destination disk', prepared.env);
    await diskIsConnected(qmp, true);
    qmp.close();
    const atRestart = await console.lastTick();
    const life = await liveAlone({ ...move, after: console });
    expect(findTickFault(life)).toBeNull();
    await console.waitForTick(({ diskOps }) => diskOps > (atRestart?.diskOps ?? 0) + 300);
    expect(restarted.process.running).toBe(true);
  });

  test('whose back end does not hand its memory over is stopped before it can be fed zeros for long', async ({
    lab,
  }) => {
    const diskMove = await DiskMove.start(lab);
    const prepared = await diskMove.prepare();
    const { disk } = await diskMove.startDestination(prepared, {});
    const { source, destination } = diskMove.move;
    const failed = await umemctl([
      ...['migrate', VM, '--source', source.sourceAgent.address, '--json', '--max-bandwidth', '4MiB'],
      ...['--destination', destination.destinationAgent.address],
    ]);
    expect(failed.exitCode).toBe(5);
    expect(failed.stderr).toContain(`Process ${disk.process.pid} (qemu-storage-da) uses RAM block "ram0"`);
    const qmp = await QmpMonitor.connect(monitorPath(diskMove.monitor, true));
    expect(await qmp.execute('query-status')).toMatchObject({ running: false });
    qmp.close();
  });
});
