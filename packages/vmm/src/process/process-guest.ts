import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { HostPrecondition, messageOf } from '@umem/errors';
import { QmpClient } from '../qemu/qmp-client.js';
import {
  processGuestPath,
  toControlPath,
  toProcessGuestArguments,
  toQmpPath,
  type ProcessGuestOptions,
} from './arguments.js';
import { TickLog, type GuestTick } from './ticks.js';

/** Longest wait for the guest to fill its RAM and to listen, in milliseconds. */
const START_TIMEOUT_MS = 60_000;

/** Longest wait for all pages, in milliseconds: they may have to come over a slow link. */
const JOB_TIMEOUT_MS = 120_000;

/** End of stderr that is kept, in characters. */
const STDERR_LIMIT = 64 * 1024;

const verifyReport = z.object({
  /** Pages that were looked at: all. */
  pages: z.number(),
  /** Pages that are wrong in any way. */
  mismatches: z.number(),
  /** Whole, but of another version than the guest wrote last. */
  stale: z.number(),
  /** Whole, but of another place. */
  foreign: z.number(),
  /** All zero, and should not be. */
  zero: z.number(),
  /** Anything else. */
  corrupt: z.number(),
});

/** Answer of `verifyAll`, in pages. */
export type VerifyReport = z.infer<typeof verifyReport>;

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running test guest. */
export interface ProcessGuest {
  readonly name: string;
  readonly pid: number;
  /** For agents; one client at a time, as with QEMU. */
  readonly qmpPath: string;
  readonly lastTick: GuestTick | null;
  /**
   * The next tick, from now on, that the predicate accepts (default: any). Rejects when the guest
   * ends, or after `timeoutMs` (default 10000).
   */
  waitForTick(accepts?: (tick: GuestTick) => boolean, timeoutMs?: number): Promise<GuestTick>;
  /** Tells every tick from now on; answers with how to end that. */
  watchTicks(listener: (tick: GuestTick) => void): () => void;
  /** Workers touch every page, in no order and all at once, whether the guest runs or not. */
  touchAll(): Promise<void>;
  /** Workers compare every page with what they wrote last, whether the guest runs or not. */
  verifyAll(): Promise<VerifyReport>;
  /** The end of what it said on stderr. */
  readonly stderr: string;
  /** Settles when the process has ended. */
  readonly exited: Promise<ExitStatus>;
  /** SIGKILL; resolves when it has ended. Idempotent. */
  kill(): Promise<void>;
}

/**
 * Starts a guest; resolves when it listens for QMP, and so has mapped its RAM and, under a preload
 * library, handed it off. It ends with this process at the latest. Rejects with HostPrecondition and
 * the guest's own words.
 */
export async function startProcessGuest(options: ProcessGuestOptions): Promise<ProcessGuest> {
  const args = ['--die-with-parent', ...toProcessGuestArguments(options)];
  const child = spawn(options.program ?? processGuestPath(), args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const guest = new StartedGuest(options, child);
  const gaveUp = new AbortController();
  try {
    const ended = guest.exited.then(({ code, signal }) => {
      throw new Error(`it ended at once (${signal ?? `code ${code}`})`);
    });
    const listening = QmpClient.connect(toControlPath(options), {
      timeoutMs: START_TIMEOUT_MS,
      signal: gaveUp.signal,
    });
    guest.attach(await Promise.race([listening, ended]));
    return guest;
  } catch (cause) {
    gaveUp.abort();
    await guest.kill();
    throw new HostPrecondition(
      `Process guest "${options.name}" did not start: ${messageOf(cause)}; it says: ${guest.stderr.trim() || 'nothing'}`,
      { cause },
    );
  }
}

class StartedGuest implements ProcessGuest {
  readonly name: string;
  readonly qmpPath: string;
  readonly exited: Promise<ExitStatus>;
  readonly #child: ChildProcess;
  readonly #ticks = new TickLog();
  #control: QmpClient | null = null;
  #stderr = '';

  constructor(options: ProcessGuestOptions, child: ChildProcess) {
    this.name = options.name;
    this.qmpPath = toQmpPath(options);
    this.#child = child;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
      child.once('error', (error) => {
        this.#stderr += error.message;
        resolve({ code: null, signal: null });
      });
    });
    void this.exited.then(({ code, signal }) =>
      this.#ticks.end(`${this.name} ended (${signal ?? `code ${code}`})`),
    );
    if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => this.#ticks.take(line));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_LIMIT);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get lastTick(): GuestTick | null {
    return this.#ticks.last;
  }

  get stderr(): string {
    return this.#stderr;
  }

  attach(control: QmpClient): void {
    this.#control = control;
  }

  waitForTick(accepts: (tick: GuestTick) => boolean = () => true, timeoutMs = 10_000): Promise<GuestTick> {
    return this.#ticks.next(accepts, timeoutMs, this.name);
  }

  watchTicks(listener: (tick: GuestTick) => void): () => void {
    return this.#ticks.watch(listener);
  }

  async touchAll(): Promise<void> {
    await this.#runJob('x-touch-all');
  }

  verifyAll(): Promise<VerifyReport> {
    return this.#runJob('x-verify-all');
  }

  async kill(): Promise<void> {
    this.#control?.close();
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  #runJob(command: string): Promise<VerifyReport> {
    if (this.#control === null) throw new Error(`Process guest "${this.name}" has not started`);
    return this.#control.execute(command, verifyReport, undefined, JOB_TIMEOUT_MS);
  }
}
