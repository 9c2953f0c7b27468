import { join } from 'node:path';
import { startProcessGuest, type ProcessGuest, type ProcessWorkload } from '@umem/vmm';
import type { Child } from './child.js';
import { eventually } from './eventually.js';
import { Host, type HostFlags } from './host.js';
import type { Lab } from './lab.js';
import { toMigrationReport, type MigrationReport } from './migration-report.js';
import { lastJson, startUmemctl, umemctl, umemctlJson, type UmemctlResult } from './umemctl.js';

const VM = 'vm1';
const MIB = 2 ** 20;

export interface ProcessMoveOptions {
  /** Sizes of RAM blocks `ram0`, `ram1`, … in bytes. Default: one of 64 MiB. */
  readonly blockSizes?: readonly number[];
  /** Blocks of the source that are memfds instead of files. */
  readonly memfds?: readonly string[];
  readonly workload?: ProcessWorkload;
  /** Where the RAM files of the source are. Default: on tmpfs. */
  readonly ramDir?: string;
  readonly flags?: { readonly source?: HostFlags; readonly destination?: HostFlags };
}

interface Prepared {
  readonly ram: readonly { readonly id: string; readonly path: string; readonly size: number }[];
  readonly env: Readonly<Record<string, string>>;
  readonly qmp: string;
}

/** A process guest on one host, about to move to another: most tests begin here. */
export class ProcessMove {
  readonly vm = VM;
  readonly lab: Lab;
  readonly source: Host;
  readonly destination: Host;
  readonly guest: ProcessGuest;
  /** RAM files of the source by block id. */
  readonly ramPaths: ReadonlyMap<string, string>;
  readonly #workload: ProcessWorkload;
  readonly #blocks: readonly { readonly id: string; readonly sizeBytes: number }[];

  private constructor(
    lab: Lab,
    hosts: { readonly source: Host; readonly destination: Host },
    guest: ProcessGuest,
    blocks: readonly { readonly id: string; readonly sizeBytes: number }[],
    ramPaths: ReadonlyMap<string, string>,
    workload: ProcessWorkload,
  ) {
    this.#workload = workload;
    this.lab = lab;
    this.source = hosts.source;
    this.destination = hosts.destination;
    this.guest = guest;
    this.#blocks = blocks;
    this.ramPaths = ramPaths;
  }

  /** Two hosts and a guest that works on the first; not registered yet. */
  static async start(lab: Lab, options: ProcessMoveOptions = {}): Promise<ProcessMove> {
    const [source, destination] = await Promise.all([
      Host.start(lab, 'source', options.flags?.source),
      Host.start(lab, 'destination', options.flags?.destination),
    ]);
    const blocks = (options.blockSizes ?? [64 * MIB]).map((sizeBytes, index) => ({
      id: `ram${index}`,
      sizeBytes,
    }));
    const ramPaths = new Map(
      blocks
        .filter(({ id }) => !(options.memfds ?? []).includes(id))
        .map(({ id }) => [id, join(options.ramDir ?? lab.ramDir, `${VM}.${id}`)]),
    );
    const workload = options.workload ?? {};
    const guest = await startProcessGuest({
      name: VM,
      dir: await lab.makeDir('guest'),
      blocks: blocks.map((block) => {
        const path = ramPaths.get(block.id);
        return path === undefined ? block : { ...block, path };
      }),
      workload,
    });
    lab.cleanup.defer('kill the source guest', () => guest.kill());
    lab.addLog('source guest', () => guest.stderr);
    await guest.waitForTick();
    return new ProcessMove(lab, { source, destination }, guest, blocks, ramPaths, workload);
  }

  /** `umemctl vm register`. */
  async register(qmpPath = this.guest.qmpPath): Promise<void> {
    const agent = this.source.sourceAgent.address;
    await umemctlJson(['vm', 'register', VM, '--agent', agent, '--qmp', qmpPath]);
  }

  /** `umemctl incoming prepare`: the destination waits for a VMM that somebody else starts. */
  async prepare(...flags: readonly string[]): Promise<Prepared> {
    const agents = [
      ...['--agent', this.destination.destinationAgent.address],
      ...['--source', this.source.sourceAgent.address],
    ];
    return (await umemctlJson(['incoming', 'prepare', VM, ...agents, ...flags])) as Prepared;
  }

  /** Starts the guest's other half as `prepared` says; `qmpPath` puts something in between. */
  async startIncoming(prepared: Prepared, qmpPath = prepared.qmp): Promise<ProcessGuest> {
    const guest = await startProcessGuest({
      name: `${VM}-incoming`,
      dir: await this.lab.makeDir('guest-incoming'),
      blocks: this.#blocks.map((block) => {
        const ram = prepared.ram.find(({ id }) => id === block.id);
        if (ram === undefined) throw new Error(`Block ${block.id} was not prepared`);
        return { ...block, path: ram.path };
      }),
      incoming: true,
      env: prepared.env,
      qmpPath,
      // Like a machine's devices, it must be the same on both hosts.
      workload: this.#workload,
    });
    this.lab.addLog('destination guest', () => guest.stderr);
    this.lab.cleanup.defer('kill the destination guest', () => guest.kill());
    return guest;
  }

  /** Registers, prepares and starts the other half: all but the migration. */
  async makeReady(): Promise<ProcessGuest> {
    await this.register();
    return this.startIncoming(await this.prepare());
  }

  /** Starts `umemctl migrate … --json`. */
  startMigrate(...flags: readonly string[]): Promise<Child> {
    const hosts = [
      ...['--source', this.source.sourceAgent.address],
      ...['--destination', this.destination.destinationAgent.address],
    ];
    return startUmemctl(this.lab, ['migrate', VM, ...hosts, ...flags, '--json']);
  }

  /** Runs `umemctl migrate` to its end, which must be good. */
  async migrate(...flags: readonly string[]): Promise<MigrationReport> {
    return reportOf(await this.startMigrate(...flags));
  }

  /** Waits until the migration is there and as `accepts` wants it; rejects when it has failed instead. */
  waitForMigration(accepts: (migration: MigrationReport) => boolean): Promise<MigrationReport> {
    return eventually(
      'the migration to get there',
      async () => {
        const migration = await this.migration().catch(() => null);
        if (migration === null) return null;
        if (accepts(migration)) return migration;
        if (migration.state === 'FAILED') throw new Error(`It failed: ${migration.error?.message}`);
        return null;
      },
      60_000,
    );
  }

  /** The newest migration as `umemctl migration get` shows it. */
  async migration(): Promise<MigrationReport> {
    const agent = this.source.sourceAgent.address;
    return toMigrationReport(await umemctlJson(['migration', 'get', VM, '--agent', agent]));
  }

  /** `umemctl migration finish` or `set`, which must succeed. */
  async change(verb: 'finish' | 'set', ...flags: readonly string[]): Promise<MigrationReport> {
    const agent = this.source.sourceAgent.address;
    return toMigrationReport(await umemctlJson(['migration', verb, VM, '--agent', agent, ...flags]));
  }

  /** `umemctl migration cancel`. */
  cancel(): Promise<UmemctlResult> {
    const agent = this.source.sourceAgent.address;
    return umemctl(['migration', 'cancel', VM, '--agent', agent, '--json']);
  }
}

/** What a `umemctl migrate --json` that must succeed printed at its end. */
export async function reportOf(child: Child): Promise<MigrationReport> {
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`${child.name} ended with ${code}:\n${child.log}`);
  return toMigrationReport(lastJson(child.stdout));
}
