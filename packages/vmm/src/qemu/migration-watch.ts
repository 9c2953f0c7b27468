import { Cancelled, DeadlineExceeded, HostPrecondition, type UmemError } from '@umem/errors';
import type { QmpClient } from './qmp-client.js';
import { migrationReply } from './qmp-replies.js';

/** How often the state is asked for, in milliseconds, in case an event is missing. */
const POLL_INTERVAL_MS = 250;

/** States of QEMU's migration that it does not leave by itself. */
const FINAL_STATES = ['completed', 'failed', 'cancelled', 'none'];

export function isFinalState(status: string | undefined): boolean {
  return status === undefined || FINAL_STATES.includes(status);
}

/** Follows one migration of the VMM, outgoing or incoming, until it ends. */
export class MigrationWatch {
  readonly #qmp: QmpClient;
  readonly #what: string;
  readonly #pollIntervalMs: number;
  readonly #removers: (() => void)[] = [];
  #timer: NodeJS.Timeout | null = null;
  #isPolling = false;
  #mustPollAgain = false;
  #settle: { resolve(): void; reject(error: unknown): void } | null = null;

  /** Resolves when the VMM says that all went well; rejects with its words when not. */
  readonly completed: Promise<void>;

  /** `what`: the doing, for messages: "saving device state". Starts to listen for events at once. */
  constructor(qmp: QmpClient, what: string, pollIntervalMs = POLL_INTERVAL_MS) {
    this.#qmp = qmp;
    this.#what = what;
    this.#pollIntervalMs = pollIntervalMs;
    this.completed = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Its rejection is seen by whoever awaits `completed`; nobody may be there yet.
    this.completed.catch(() => undefined);
    this.#removers.push(
      qmp.onEvent('MIGRATION', ({ status }) => this.#see(typeof status === 'string' ? status : '')),
      qmp.onEnd((error) => this.#fail(this.#toLost(error))),
    );
  }

  /** The VMM has accepted the migration: from now on its state is asked for, too. */
  started(): void {
    this.#timer = setInterval(() => void this.#poll(), this.#pollIntervalMs);
    void this.#poll();
  }

  /** Stops watching; `completed` rejects when it is not settled. Idempotent. */
  stop(reason: UmemError): void {
    this.#fail(reason);
  }

  #see(status: string): void {
    if (!isFinalState(status)) return;
    // A query that is under way may have been answered just before.
    this.#mustPollAgain = this.#isPolling;
    void this.#poll();
  }

  async #poll(): Promise<void> {
    if (this.#settle === null || this.#isPolling) return;
    this.#isPolling = true;
    try {
      const reply = await this.#qmp.execute('query-migrate', migrationReply);
      if (reply.status === 'completed') this.#finish();
      else if (reply.status === 'cancelled')
        this.#fail(new Cancelled(`The VMM's migration was cancelled while ${this.#what}`));
      else if (reply.status === 'failed')
        this.#fail(
          new HostPrecondition(
            `The VMM failed while ${this.#what}: ${reply['error-desc'] ?? 'it gives no reason; look into its log'}`,
            { metadata: { qmpDesc: reply['error-desc'] ?? '' } },
          ),
        );
    } catch (error) {
      // QEMU answers nothing while it waits for whoever reads its device state, or for a page:
      // how long that may take is not ours to say.
      if (!(error instanceof DeadlineExceeded)) this.#fail(error);
    } finally {
      this.#isPolling = false;
    }
    if (this.#mustPollAgain) {
      this.#mustPollAgain = false;
      void this.#poll();
    }
  }

  #toLost(error: UmemError | null): UmemError {
    if (error === null) return new Cancelled(`The connection to the VMM was closed while ${this.#what}`);
    return new HostPrecondition(
      `The VMM ended while ${this.#what}; its log says why (often machines that differ: type, devices, memory or version)`,
      { cause: error },
    );
  }

  #finish(): void {
    this.#settle?.resolve();
    this.#release();
  }

  #fail(error: unknown): void {
    this.#settle?.reject(error);
    this.#release();
  }

  #release(): void {
    this.#settle = null;
    if (this.#timer) clearInterval(this.#timer);
    for (const remove of this.#removers) remove();
  }
}
