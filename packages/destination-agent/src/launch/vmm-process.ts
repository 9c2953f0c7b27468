import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { HostPrecondition, Internal } from '@umem/errors';
import { ownUser, type Owner } from '../ram/file-owner.js';
import type { LaunchCommand } from './placeholders.js';
import type { VmmLog } from './vmm-log.js';

/** How a launched VMM ended: "exited with code 1", "was ended by SIGKILL". */
export type VmmExit = string;

/**
 * A VMM that this agent started. It is in a session of its own and outlives the agent; only the
 * caller knows whether its guest has run, so only the caller may kill it.
 */
export class VmmProcess {
  readonly #child: ChildProcess;
  /** Resolves when the process has ended. */
  readonly exited: Promise<VmmExit>;
  #exit: VmmExit | null = null;

  private constructor(
    child: ChildProcess,
    readonly pid: number,
  ) {
    this.#child = child;
    // After the start only `kill` can fail, when the process is ending by itself: `exited` will tell.
    child.on('error', () => {});
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exit = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
        resolve(this.#exit);
      });
    });
  }

  /** How it ended; null while it runs. */
  get exit(): VmmExit | null {
    return this.#exit;
  }

  /** Starts it as `owner`, with its output in `log`. Throws HostPrecondition when it cannot be started. */
  static async launch(
    { command, args }: Pick<LaunchCommand, 'command' | 'args'>,
    env: Readonly<Record<string, string>>,
    owner: Owner,
    log: VmmLog,
  ): Promise<VmmProcess> {
    if (log.fd === null) throw new Internal('The log of a VMM was closed before its launch');
    const self = ownUser();
    const child = spawn(command, args, {
      cwd: '/',
      env: { ...env },
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      ...(owner.uid === self.uid ? {} : { uid: owner.uid, gid: owner.gid }),
    });
    try {
      await once(child, 'spawn');
    } catch (cause) {
      throw new HostPrecondition(
        `Cannot start VMM ${command} as ${owner.name}: check that it exists and may be run`,
        {
          cause,
        },
      );
    }
    if (child.pid === undefined) throw new Internal(`VMM ${command} started without a process id`);
    // The agent may end while the guest runs on.
    child.unref();
    return new VmmProcess(child, child.pid);
  }

  /** SIGKILL to its whole process group, so that a wrapper script takes its VMM along. kill(2). */
  kill(): void {
    if (this.#exit !== null) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // No such group: it left its session, or is ending now. The process itself is still ours.
      this.#child.kill('SIGKILL');
    }
  }
}
