import { mkdir, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Lab } from './lab.js';
import { Service } from './service.js';

/** A launch profile of the destination-agent. */
export interface LaunchProfile {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Further flags per service. */
export interface HostFlags {
  readonly sourceAgent?: readonly string[];
  readonly destinationAgent?: readonly string[];
  readonly pageServer?: readonly string[];
  /** Connections that a service inherits as descriptors 3, 4, … */
  readonly inherits?: {
    readonly sourceAgent?: readonly Socket[];
    readonly pageServer?: readonly Socket[];
  };
  /** What the host shall lack: words of native/test/programs/restrict.c. */
  readonly lacks?: readonly string[];
}

/** One set of services, as every host runs it; several share this machine's loopback. */
export class Host {
  readonly name: string;
  readonly ramDir: string;
  readonly pageServer: Service;
  readonly destinationAgent: Service;
  readonly sourceAgent: Service;
  readonly #profilesDir: string;

  private constructor(
    name: string,
    dirs: { readonly ram: string; readonly profiles: string },
    services: {
      readonly pageServer: Service;
      readonly destinationAgent: Service;
      readonly sourceAgent: Service;
    },
  ) {
    this.name = name;
    this.ramDir = dirs.ram;
    this.#profilesDir = dirs.profiles;
    this.pageServer = services.pageServer;
    this.destinationAgent = services.destinationAgent;
    this.sourceAgent = services.sourceAgent;
  }

  /** Starts the three services; resolves when they answer calls. */
  static async start(lab: Lab, name: string, flags: HostFlags = {}): Promise<Host> {
    const dir = await lab.makeDir(name);
    const dirs = { ram: join(lab.ramDir, name), profiles: join(dir, 'profiles') };
    for (const path of Object.values(dirs)) await mkdir(path, { mode: 0o700 });

    const lacks = flags.lacks ?? [];
    const pageServer = await Service.start(lab, {
      lacks,
      name: `${name}/page-server`,
      program: 'page-server',
      listen: `unix:${join(dir, 'umemd.sock')}`,
      stateDir: join(dir, 'page-server'),
      args: flags.pageServer ?? [],
      inherits: flags.inherits?.pageServer ?? [],
    });
    const [destinationAgent, sourceAgent] = await Promise.all([
      Service.start(lab, {
        lacks,
        name: `${name}/destination-agent`,
        program: 'destination-agent',
        stateDir: join(dir, 'destination'),
        args: [
          ...['--page-server', pageServer.address, '--ram-dir', dirs.ram, '--vm-profiles', dirs.profiles],
          ...(flags.destinationAgent ?? []),
        ],
      }),
      Service.start(lab, {
        lacks,
        name: `${name}/source-agent`,
        program: 'source-agent',
        stateDir: join(dir, 'source'),
        args: flags.sourceAgent ?? [],
        inherits: flags.inherits?.sourceAgent ?? [],
      }),
    ]);
    return new Host(name, dirs, { pageServer, destinationAgent, sourceAgent });
  }

  get services(): readonly Service[] {
    return [this.sourceAgent, this.destinationAgent, this.pageServer];
  }

  /** Puts a launch profile where the destination-agent looks for it. */
  async addProfile(name: string, profile: LaunchProfile): Promise<void> {
    await writeFile(join(this.#profilesDir, `${name}.yaml`), stringify(profile));
  }

  /** Ends all three services in order. */
  async stop(): Promise<void> {
    for (const service of this.services) await service.stop();
  }
}
