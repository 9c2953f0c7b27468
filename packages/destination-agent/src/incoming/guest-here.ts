import { setTimeout as delay } from 'node:timers/promises';
import { DeadlineExceeded, Internal, messageOf, NotFound, WrongState } from '@umem/errors';
import { QmpError } from '@umem/vmm';
import { events } from '../events.js';
import type { VmmControl } from '../launch/vmm-control.js';
import type { IncomingHost } from './incoming-host.js';
import type { IncomingParts } from './incoming-parts.js';
import type { IncomingRecord } from './incoming-record.js';

/** How long a guest that waits for lost pages may take to stop, in milliseconds. */
const STOP_MS = 5_000;

/**
 * An incoming VM from RESUMING on: its guest may run here and nowhere else. Nothing is undone any
 * more; a loss stops the guest and never kills it, for its owner may want to look at it.
 */
export class GuestHere {
  readonly #record: IncomingRecord;
  readonly #parts: IncomingParts;
  readonly #vmm: VmmControl;
  readonly #host: IncomingHost;
  #resuming: Promise<void> | null = null;
  /** Settles when the page server has let go of memory that is complete. */
  #released: Promise<void> | null = null;
  #isLosing = false;

  constructor(record: IncomingRecord, parts: IncomingParts, vmm: VmmControl, host: IncomingHost) {
    this.#record = record;
    this.#parts = parts;
    this.#vmm = vmm;
    this.#host = host;
  }

  /** Settles with the answer to `resume`; null before that. Never rejects. */
  get decided(): Promise<void> | null {
    return this.#resuming?.catch(() => {}) ?? null;
  }

  /**
   * Runs the guest, in stage RESUMING. Asked again it answers as it stands. Throws WrongState when
   * the VMM refused and the guest has not run, after `undo`; Internal when nobody can tell.
   */
  async resume(undo: (error: string) => void): Promise<void> {
    if (this.#resuming) {
      await this.#resuming.catch((error: unknown) => {
        // Only a refusal stays a refusal.
        if (error instanceof WrongState) throw error;
      });
      return;
    }
    this.#resuming = this.#run(undo);
    await this.#resuming;
  }

  /** QUIT. A small guest's pages can all be here before it is resumed. */
  pagesAreHere(): void {
    this.#released ??= this.#release();
    if (this.#record.is('RESUMED')) void this.#complete();
  }

  /** ERROR, or a umem set that failed: pages are missing and stay missing. */
  async pagesAreLost(message: string, missingPages: bigint): Promise<void> {
    if (this.#isLosing || this.#record.is('FAILED')) return;
    this.#isLosing = true;
    await this.decided;
    if (this.#record.is('RESUMED')) await this.#stop(`${message} (${missingPages} pages are missing)`);
  }

  /** The VMM has exited; `how` is a clause with its last words. */
  async vmmIsGone(how: string): Promise<void> {
    // The answer to `resume` is about to fail, and says more.
    await this.decided;
    if (this.#record.is('RESUMED')) this.#fail(`The VMM ${how} after the guest was resumed here`);
  }

  /** A stream to the page server broke: faults wait until it is back. */
  async pageServerIsLost(error: Error): Promise<void> {
    if (this.#released || !this.#record.is('RESUMING', 'RESUMED')) return;
    this.#setPageServerLost(true);
    this.#host.log.event(events.pageServerLost, { vm: this.#record.name, error });
    try {
      await this.#parts.link.reattach();
    } catch (cause) {
      if (cause instanceof NotFound)
        await this.pagesAreLost(
          'The page server came back without this VM',
          this.#record.umem.stats?.remainingPages ?? 0n,
        );
      // Else the link was closed: nobody waits for the page server any more.
      return;
    }
    this.#setPageServerLost(false);
    this.#host.log.event(events.pageServerBack, { vm: this.#record.name });
  }

  async #run(undo: (error: string) => void): Promise<void> {
    try {
      await this.#vmm.vmm.resume();
    } catch (error) {
      throw await this.#resumeFailure(error, undo);
    }
    this.#record.resumedAtUnixUs = BigInt(Date.now()) * 1000n;
    this.#record.move('RESUMED', 'the guest runs here');
    if (this.#released) void this.#complete();
  }

  async #resumeFailure(error: unknown, undo: (error: string) => void): Promise<Error> {
    const { name } = this.#record;
    if (isRefusal(error) && (await this.#vmm.vmm.runState().catch(() => 'running')) !== 'running') {
      undo(`The guest has not run: ${messageOf(error)}`);
      return new WrongState(`incoming VM "${name}"`, 'FAILED', ['LOADED'], this.#record.error);
    }
    await this.#stop(`Whether the guest runs is unknown: ${messageOf(error)}`);
    return new Internal(`Incoming VM "${name}" is lost: ${this.#record.error}`);
  }

  async #release(): Promise<void> {
    // Before QUIT is answered: after that the page server listens for handoffs no more.
    try {
      await this.#parts.ram.markComplete();
    } catch (error) {
      this.#host.log.event(events.ramNotMarked, { vm: this.#record.name, error });
    }
    try {
      this.#record.umem = await this.#parts.link.release();
    } catch (error) {
      // The memory is plain already, which is all the guest needs: only the last statistics are lost.
      this.#host.log.event(events.statisticsLost, { vm: this.#record.name, error });
    }
  }

  async #complete(): Promise<void> {
    await this.#released;
    if (!this.#record.is('RESUMED')) return;
    this.#record.pageServerLost = false;
    this.#record.move('COMPLETED', 'every page is here and the memory is plain');
    this.#host.metrics.finished('completed');
    this.#vmm.letGo();
  }

  async #stop(what: string): Promise<void> {
    let stopped = 'The guest is stopped';
    try {
      await Promise.race([this.#vmm.stop(), deadline(STOP_MS)]);
    } catch (error) {
      this.#host.log.event(events.guestNotStopped, { vm: this.#record.name, error });
      stopped = `The guest could not be stopped (${messageOf(error)}); it waits where it needs a missing page`;
    }
    this.#fail(`${what}. ${stopped}`);
  }

  #fail(error: string): void {
    if (!this.#record.is('RESUMING', 'RESUMED')) return;
    this.#record.fail(error, { guestRecoverable: false });
    this.#host.log.event(events.guestLost, { vm: this.#record.name, error });
    this.#host.metrics.finished('lost');
    if (!this.#vmm.isGone) this.#vmm.letGo();
  }

  #setPageServerLost(isLost: boolean): void {
    this.#record.pageServerLost = isLost;
    this.#record.changes.notify();
  }
}

/**
 * True when the VMM answered `cont` itself with an error, so that no vCPU has run. Anything else, also a
 * guest that was found stopped after `cont`, may have run for a moment.
 */
function isRefusal(error: unknown): boolean {
  return error instanceof QmpError && error.command === 'cont';
}

async function deadline(ms: number): Promise<never> {
  await delay(ms, undefined, { ref: false });
  throw new DeadlineExceeded(`not within ${ms} ms`);
}
