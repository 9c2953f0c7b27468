import { lstat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@umem/daemon';
import { messageOf, PeerUnavailable } from '@umem/errors';
import { connectQemu, type Vmm } from '@umem/vmm';
import { events } from '../events.js';
import type { LaunchCommand } from './placeholders.js';
import { startTimeOf, watchProcess } from './process-watch.js';
import type { RunDirectory } from './run-directory.js';
import { VmmProcess } from './vmm-process.js';

/** How long a VMM that was told to quit may take before it is killed, in milliseconds. */
const QUIT_MS = 2_000;
/** How long a VMM whose QMP connection broke may take to turn out dead, in milliseconds. */
const LAST_WORDS_MS = 1_000;
/** How long to wait for a VMM's QMP socket when it must be there already, in milliseconds. */
const RECONNECT_MS = 500;

/** What an incoming VM wants to hear about its VMM. */
export interface VmmEvents {
  /** The process has ended; `how` is a clause with its last words. Called once. */
  onGone(how: string): void;
  /** The QMP connection broke although the process lives. */
  onUnreachable(error: Error): void;
}

/** The VMM of one incoming VM, launched here or by somebody else. */
export class VmmControl {
  readonly #name: string;
  readonly #run: RunDirectory;
  readonly #log: Logger;
  readonly #events: VmmEvents;
  #process: VmmProcess | null = null;
  #vmm: Vmm | null = null;
  /** Of a VMM that is not our child; null while unknown. */
  #foreignPid: number | null = null;
  #watch: { stop(): void } | null = null;
  #isGone = false;

  constructor(name: string, run: RunDirectory, log: Logger, vmmEvents: VmmEvents) {
    this.#name = name;
    this.#run = run;
    this.#log = log;
    this.#events = vmmEvents;
  }

  /** Process id when it was launched here; else 0. */
  get launchedPid(): number {
    return this.#process?.pid ?? 0;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whether its end will be noticed. */
  get isWatched(): boolean {
    return !this.#isGone && (this.#process !== null || this.#watch !== null);
  }

  get isAttached(): boolean {
    return this.#vmm !== null;
  }

  /** The VMM, once `attach` has reached it. Throws PeerUnavailable. */
  get vmm(): Vmm {
    if (this.#vmm) return this.#vmm;
    throw new PeerUnavailable(`The VMM of "${this.#name}" has no QMP connection at ${this.#run.qmpPath}`);
  }

  /** Starts it. Throws HostPrecondition. */
  async launch(command: LaunchCommand, env: Readonly<Record<string, string>>): Promise<void> {
    const started = await VmmProcess.launch(command, env, this.#run.owner, this.#run.log);
    this.#process = started;
    this.#log.event(events.vmmLaunched, { vm: this.#name, vmmPid: started.pid, command: command.command });
    void started.exited.then((exit) => this.#gone(exit));
  }

  /**
   * Connects to its QMP socket and makes it wait for device state. Rejects with HostPrecondition
   * for a VM that could not be moved on, and with the signal's reason.
   */
  async attach(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const vmm = await connectQemu(this.#run.qmpPath, { timeoutMs, signal });
    this.#vmm = vmm;
    vmm.onLost((error) => void this.#lost(error));
    signal.throwIfAborted();
    this.#foreignPid = (await vmm.describe()).pid;
    await vmm.prepareLoad(this.#run.loadPath);
  }

  /** Stops the guest, whatever became of the connection. */
  async stop(): Promise<void> {
    this.#vmm ??= await connectQemu(this.#run.qmpPath, { timeoutMs: RECONNECT_MS });
    await this.#vmm.stop();
  }

  /**
   * Ends a VMM whose guest has never run: QMP quit, and SIGKILL for what was launched here. Resolves
   * when it has ended, or was left because it belongs to somebody else.
   */
  async end(): Promise<void> {
    this.#watch?.stop();
    const quit = this.#quit();
    if (this.#process) {
      await Promise.race([
        this.#process.exited,
        this.#vmm ? delay(QUIT_MS, undefined, { ref: false }) : undefined,
      ]);
      if (this.#process.exit === null) {
        this.#process.kill();
        this.#log.event(events.vmmKilled, { vm: this.#name, vmmPid: this.#process.pid });
      }
      await this.#process.exited;
    } else if ((await Promise.race([quit, delay(QUIT_MS, 'late' as const, { ref: false })])) !== 'quit') {
      if (!this.#isGone) this.#log.event(events.vmmLeft, { vm: this.#name, vmmPid: this.#foreignPid });
    }
    this.#vmm?.close();
  }

  /** Gives QMP up, for others to use, and goes on looking whether the VMM lives. */
  letGo(): void {
    this.#vmm?.close();
    this.#vmm = null;
    if (!this.#process) this.#watchForeign();
  }

  /** Stops looking after the VMM, which lives on. */
  leave(): void {
    this.#watch?.stop();
    this.#vmm?.close();
    this.#vmm = null;
  }

  async #quit(): Promise<'quit' | 'none'> {
    try {
      // Nobody has connected yet, but somebody may have launched it.
      if (!this.#vmm && !this.#process && (await isSocket(this.#run.qmpPath)))
        this.#vmm = await connectQemu(this.#run.qmpPath, { timeoutMs: RECONNECT_MS });
      if (!this.#vmm) return 'none';
      await this.#vmm.quit();
      return 'quit';
    } catch {
      // It is ending, stuck or deaf: `end` kills it or says that it was left.
      return 'none';
    }
  }

  /** `error` is null when we closed the connection or told the VMM to quit. */
  async #lost(error: Error | null): Promise<void> {
    if (error === null) return;
    this.#vmm = null;
    if (this.#process) {
      await Promise.race([this.#process.exited, delay(LAST_WORDS_MS, undefined, { ref: false })]);
      if (this.#process.exit !== null) return;
    } else if (this.#foreignPid !== null && (await startTimeOf(this.#foreignPid)) === null) {
      await this.#gone('has ended');
      return;
    } else this.#watchForeign();
    this.#log.event(events.vmmConnectionLost, { vm: this.#name, error });
    this.#events.onUnreachable(
      new PeerUnavailable(`The QMP connection of "${this.#name}" was lost while its VMM lives`, {
        cause: error,
      }),
    );
  }

  #watchForeign(): void {
    if (this.#watch || this.#isGone) return;
    if (this.#foreignPid === null) this.#log.event(events.vmmIdUnknown, { vm: this.#name });
    else this.#watch = watchProcess(this.#foreignPid, () => void this.#gone('has ended'));
  }

  async #gone(how: string): Promise<void> {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#watch?.stop();
    const tail = await this.#run.log.tail().catch((error: unknown) => messageOf(error));
    this.#log.event(events.vmmExited, { vm: this.#name, how });
    this.#events.onGone(tail === '' ? how : `${how}; its last words: ${tail}`);
  }
}

/** A symbolic link is not: the directory belongs to the VMM's user, who might point it anywhere. */
async function isSocket(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSocket();
  } catch {
    // Nothing there, so nobody to talk to.
    return false;
  }
}
