import { mkdir, readFile, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Child, ChildExit } from './child.js';
import { eventually } from './eventually.js';
import type { Lab } from './lab.js';
import { programPath, restrictPath, type ServiceName } from './repository.js';

const START_TIMEOUT_MS = 60_000;

export interface ServiceOptions {
  /** Shown in logs: "source/page-server". */
  readonly name: string;
  readonly program: ServiceName;
  /** Address to listen on. Default: a free port of 127.0.0.1. */
  readonly listen?: string;
  readonly stateDir: string;
  /** All other flags. */
  readonly args?: readonly string[];
  /** Connections that it inherits as descriptors 3, 4, …, at its first start. */
  readonly inherits?: readonly Socket[];
  /** What its host shall lack: words of native/test/programs/restrict.c. */
  readonly lacks?: readonly string[];
}

/** A daemon of ours as a child process; may be started again after it has ended. */
export class Service {
  readonly options: ServiceOptions;
  readonly #lab: Lab;
  #child: Child;
  #address: string;

  private constructor(options: ServiceOptions, lab: Lab, child: Child, address: string) {
    this.options = options;
    this.#lab = lab;
    this.#child = child;
    this.#address = address;
  }

  /** Resolves when it answers calls. */
  static async start(lab: Lab, options: ServiceOptions): Promise<Service> {
    const { child, address } = await launch(lab, options);
    return new Service(options, lab, child, address);
  }

  /** Where it listens, as clients write it. */
  get address(): string {
    return this.#address;
  }

  get child(): Child {
    return this.#child;
  }

  /** Starts it again, on the same address and state. */
  async startAgain(): Promise<void> {
    const { child, address } = await launch(this.#lab, {
      ...this.options,
      listen: this.#address,
      inherits: [],
    });
    this.#child = child;
    this.#address = address;
  }

  /** Asks it to end in order. */
  stop(): Promise<ChildExit> {
    return this.#child.stop();
  }

  /** The end that nobody can prepare for. */
  kill(): Promise<ChildExit> {
    return this.#child.kill();
  }
}

async function launch(lab: Lab, options: ServiceOptions): Promise<{ child: Child; address: string }> {
  const addressFile = join(options.stateDir, 'address');
  await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
  await rm(addressFile, { force: true });
  const lacks = options.lacks ?? [];
  const restricted = lacks.length === 0 ? [] : [restrictPath, ...lacks, '--'];
  const [command, ...first] = [...restricted, process.execPath, programPath(options.program)];
  const child = await lab.start({
    name: options.name,
    command,
    args: [
      ...first,
      '--listen',
      options.listen ?? '127.0.0.1:0',
      '--state-dir',
      options.stateDir,
      ...(options.args ?? []),
    ],
    inherits: options.inherits ?? [],
  });
  // The daemon writes the address it got when it serves it.
  const address = await eventually(
    `${options.name} to listen`,
    async () => {
      if (!child.running) throw new Error(`${options.name} ended at its start:\n${child.log}`);
      const text = await readFile(addressFile, 'utf8').catch(() => '');
      return text.trim() === '' ? null : text.trim();
    },
    START_TIMEOUT_MS,
  );
  return { child, address };
}
