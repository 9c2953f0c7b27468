import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, type ChildOptions } from './child.js';
import { Cleanup } from './cleanup.js';
import { killProcessesNaming } from './process-list.js';

const LOG_TAIL_LINES = 40;

/** Everything that one test starts and makes: folders, child processes, and their end. */
export class Lab {
  /** Short, because Unix socket paths must fit in 107 bytes. */
  readonly dir: string;
  /** On tmpfs, for RAM files. */
  readonly ramDir: string;
  readonly cleanup = new Cleanup();
  readonly #logs: { readonly name: string; readonly read: () => string }[] = [];

  private constructor(dir: string, ramDir: string) {
    this.dir = dir;
    this.ramDir = ramDir;
  }

  static async open(): Promise<Lab> {
    const dir = await mkdtemp(join(tmpdir(), 'umem-'));
    const ramDir = await mkdtemp('/dev/shm/umem-');
    const lab = new Lab(dir, ramDir);
    lab.cleanup.defer('remove the lab', () =>
      Promise.all([dir, ramDir].map((path) => rm(path, { recursive: true, force: true }))),
    );
    // VMMs that an agent launched belong to no service: they go on when the agents have ended.
    lab.cleanup.defer('end the VMMs', () => killProcessesNaming(dir));
    return lab;
  }

  /** A new folder of the lab. */
  async makeDir(name: string): Promise<string> {
    const path = join(this.dir, name);
    await mkdir(path, { recursive: true });
    return path;
  }

  /** Starts a child that does not outlive the lab. */
  async start(options: ChildOptions): Promise<Child> {
    const child = await Child.start(options);
    this.addLog(options.name, () => child.log);
    this.cleanup.defer(`stop ${options.name}`, () => child.stop());
    return child;
  }

  /** Has `logs` show what something else says. */
  addLog(name: string, read: () => string): void {
    this.#logs.push({ name, read });
  }

  /** The end of every log, for a person who asks why. */
  logs(): string {
    return this.#logs
      .map(({ name, read }) => {
        const lines = read().trimEnd().split('\n');
        return [`--- ${name}`, ...lines.slice(-LOG_TAIL_LINES)].join('\n');
      })
      .join('\n');
  }

  /** Ends all children and removes all files. */
  close(): Promise<void> {
    return this.cleanup.run();
  }
}
