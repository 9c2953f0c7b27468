import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';

export interface ChildOptions {
  /** Shown in front of its log. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its stderr is this process's own (a terminal, if this has one) and is not kept. */
  readonly showStderr?: boolean;
  /** Connections that it inherits as descriptors 3, 4, …; they are not this process's any more. */
  readonly inherits?: readonly Socket[];
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How long a child may take to end after SIGTERM. */
const STOP_TIMEOUT_MS = 60_000;

/** A child process whose output is kept. */
export class Child {
  readonly name: string;
  readonly pid: number;
  /** Settles when it has ended and its output is complete. */
  readonly exited: Promise<ChildExit>;
  #process: ChildProcess;
  #stdout = '';
  #stderr = '';
  #log = '';
  #exit: ChildExit | null = null;

  private constructor(name: string, pid: number, process: ChildProcess) {
    this.name = name;
    this.pid = pid;
    this.#process = process;
    process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#log += text;
    });
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#log += text;
    });
    this.exited = once(process, 'close').then(([code, signal]: unknown[]) => {
      this.#exit = { code: code as number | null, signal: signal as NodeJS.Signals | null };
      return this.#exit;
    });
  }

  /** Rejects when the command cannot be run. */
  static async start(options: ChildOptions): Promise<Child> {
    const child = spawn(options.command, options.args, {
      env: { ...process.env, ...options.env },
      stdio: [
        'ignore',
        'pipe',
        options.showStderr === true ? 'inherit' : 'pipe',
        ...(options.inherits ?? []),
      ],
    });
    for (const socket of options.inherits ?? []) socket.destroy();
    await once(child, 'spawn');
    if (child.pid === undefined) throw new Error(`${options.name} started without a process id`);
    return new Child(options.name, child.pid, child);
  }

  get running(): boolean {
    return this.#exit === null;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** stdout and stderr, in the order in which they came. */
  get log(): string {
    return this.#log;
  }

  /** SIGTERM, then SIGKILL for one that does not end; answers how it ended. */
  async stop(timeoutMs = STOP_TIMEOUT_MS): Promise<ChildExit> {
    if (this.#exit !== null) return this.#exit;
    this.#process.kill('SIGCONT');
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), timeoutMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** SIGKILL. */
  async kill(): Promise<ChildExit> {
    this.#process.kill('SIGKILL');
    return this.exited;
  }

  /** SIGSTOP: alive to everyone who does not wait for an answer. */
  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  unpause(): void {
    this.#process.kill('SIGCONT');
  }
}
