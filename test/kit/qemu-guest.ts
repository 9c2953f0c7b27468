import { join } from 'node:path';
import type { Child } from './child.js';
import { eventuallyTrue } from './eventually.js';
import type { LaunchProfile } from './host.js';
import type { Lab } from './lab.js';
import { QEMU, qemuArgs, type Machine } from './machine.js';
import { SerialConsole } from './serial-console.js';
import type { Tick } from './ticks.js';

/** A QEMU guest that runs the verifying workload on the source. */
export class QemuGuest {
  readonly name: string;
  readonly qmpPath: string;
  readonly console: SerialConsole;
  readonly process: Child;
  /** RAM files by block id; blocks on memfds have none. */
  readonly ramPaths: ReadonlyMap<string, string>;

  private constructor(
    name: string,
    qmpPath: string,
    console: SerialConsole,
    process: Child,
    ramPaths: ReadonlyMap<string, string>,
  ) {
    this.name = name;
    this.qmpPath = qmpPath;
    this.console = console;
    this.process = process;
    this.ramPaths = ramPaths;
  }

  /** Starts QEMU, with RAM files in `ramDir`; resolves when the workload ticks. */
  static async boot(lab: Lab, name: string, machine: Machine, ramDir = lab.ramDir): Promise<QemuGuest> {
    const dir = await lab.makeDir(`qemu-${name}`);
    const ramPaths = new Map(
      machine.blocks
        .filter(({ backing = 'file' }) => backing === 'file')
        .map(({ id }) => [id, join(ramDir, `${name}.${id}`)]),
    );
    const qmpPath = join(dir, 'qmp.sock');
    const console = new SerialConsole(join(dir, 'serial'));
    const process = await lab.start({
      name: `source QEMU of ${name}`,
      command: QEMU,
      args: qemuArgs(machine, { ramPaths, qmpPath, serialPath: console.path, incoming: false }),
    });
    const guest = new QemuGuest(name, qmpPath, console, process, ramPaths);
    await eventuallyTrue('QEMU to open its serial console', async () => {
      const text = await console.text();
      if (!process.running) throw new Error(`QEMU ended at its start:\n${process.log}${text}`);
      return text !== '';
    });
    await console.waitForTick(() => true);
    return guest;
  }

  /** The first tick from now on. */
  async nextTick(): Promise<Tick> {
    return nextTick(this.console);
  }
}

/** The first tick from now on of a guest with this console. */
export async function nextTick(console: SerialConsole): Promise<Tick> {
  const last = (await console.lastTick())?.number ?? 0;
  return console.waitForTick(({ number }) => number > last);
}

/** A launch profile for the same machine on the destination, whose console is written to `serialPath`. */
export function qemuProfile(machine: Machine, serialPath: string): LaunchProfile {
  const ramPaths = new Map(machine.blocks.map(({ id }) => [id, `\${ram.${id}.path}`]));
  return {
    command: QEMU,
    args: qemuArgs(machine, { ramPaths, qmpPath: '${qmp}', serialPath, incoming: true }),
  };
}
