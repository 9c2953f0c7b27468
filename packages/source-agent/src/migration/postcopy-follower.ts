import { IncomingState, UmemState, type Incoming } from '@umem/api';
import { Internal, NotFound, PageLoss } from '@umem/errors';
import { formatBytes, TARGET_PAGE_SIZE } from '@umem/ram';
import type { Failure, Migration } from './migration.js';

/** After EOC, how long the destination's last statistics are waited for. */
const LAST_STATS_MS = 5_000;

/** How a post-copy ended: null when the guest has everything. */
export type PostcopyEnd = Failure | null;

/**
 * Watches both sides of a migration from the moment the guest may run on the destination: what lanes
 * do here, what the destination-agent reports. Before that it only keeps what it hears.
 */
export class PostcopyFollower {
  readonly #migration: Migration;
  readonly #over: Promise<PostcopyEnd>;
  #finish: (end: PostcopyEnd) => void = () => {};
  #begun = false;
  #lanes = 0;
  #eoc = false;
  #eocTimer: NodeJS.Timeout | null = null;
  #incoming: Incoming | null = null;
  /** The destination-agent answered that it does not know the VM. */
  #forgotten = false;

  constructor(migration: Migration) {
    this.#migration = migration;
    this.#over = new Promise((resolve) => (this.#finish = resolve));
  }

  /** The destination's page server has said that it needs nothing more. */
  get hasEoc(): boolean {
    return this.#eoc;
  }

  /** The destination runs the guest: resolves when it has every page, or cannot get them any more. */
  async follow(): Promise<PostcopyEnd> {
    this.#begun = true;
    this.#evaluate();
    const end = await this.#over;
    if (this.#eocTimer) clearTimeout(this.#eocTimer);
    return end;
  }

  onLanes(open: number): void {
    this.#lanes = open;
    this.#evaluate();
  }

  onEoc(): void {
    this.#eoc = true;
    // EOC says it all; the destination's own word only brings the last statistics.
    this.#eocTimer = setTimeout(() => this.#finish(null), LAST_STATS_MS);
    this.#evaluate();
  }

  onIncoming(incoming: Incoming): void {
    this.#incoming = incoming;
    this.#forgotten = false;
    if (incoming.stats) this.#migration.setStats(incoming.stats);
    this.#evaluate();
  }

  /** The destination-agent did not report. Pages do not need it: only when they stop as well it matters. */
  onWatchLost(error: unknown): void {
    this.#forgotten = error instanceof NotFound;
    this.#evaluate();
  }

  #evaluate(): void {
    if (!this.#begun) return;
    const state = this.#incoming?.state;
    if (state === IncomingState.COMPLETED) return this.#finish(null);
    if (state === IncomingState.FAILED && !this.#eoc) return this.#finish(this.#failed());
    if (this.#eoc) return this.#migration.setActivity('Every page has arrived; finishing');
    this.#followLanes();
    if (this.#forgotten && this.#lanes === 0) return this.#finish(this.#lost());
    this.#migration.setActivity(this.#describe());
  }

  #followLanes(): void {
    const attached = this.#lanes > 0;
    if (!attached && this.#migration.is('POSTCOPY_ACTIVE'))
      this.#migration.transition('POSTCOPY_DETACHED', 'the last lane is gone');
    if (attached && this.#migration.is('POSTCOPY_DETACHED'))
      this.#migration.transition('POSTCOPY_ACTIVE', 'a lane is back');
  }

  #describe(): string {
    const { stats } = this.#migration;
    const left = formatBytes(Number(stats?.remainingPages ?? 0n) * TARGET_PAGE_SIZE);
    if (this.#incoming?.pageServerLost)
      return `The destination's page server is gone; faults wait; ${left} left`;
    if (this.#lanes === 0)
      return `The link is lost; waiting for the page server to connect again; ${left} left`;
    if (this.#incoming?.umemState === UmemState.RESIDENT) return 'Every page has arrived; finishing';
    const noBackground = this.#migration.toMessage().options?.noBackground === true;
    return noBackground
      ? `Pages follow as the guest touches them; ${left} left`
      : `Pages follow; ${left} left`;
  }

  #failed(): Failure {
    const guestRecoverable = this.#incoming?.guestRecoverable === true;
    const missing = Number(this.#migration.stats?.remainingPages ?? 0n);
    const said = this.#incoming?.error ?? '';
    const error = guestRecoverable
      ? new Internal(`The destination failed: ${said}`, { reason: 'DESTINATION_FAILED' })
      : new PageLoss(`The destination failed with ${missing} pages missing: ${said}`, '', 0, missing, {
          reason: 'DESTINATION_FAILED',
        });
    return { error, guestRecoverable, outcome: toOutcome(guestRecoverable) };
  }

  #lost(): Failure {
    const missing = Number(this.#migration.stats?.remainingPages ?? 0n);
    const message = `The destination-agent does not know VM "${this.#migration.vm}" any more and its page server is gone, with ${missing} pages missing`;
    return {
      error: new PageLoss(message, '', 0, missing, { reason: 'DESTINATION_LOST' }),
      guestRecoverable: false,
      outcome: toOutcome(false),
    };
  }
}

/** What a failure after the point of no return means for the guest, and what to do. */
export function toOutcome(guestRecoverable: boolean): string {
  return guestRecoverable
    ? 'The destination says that the guest did not run there. The source VM is stopped and has all its memory: make sure that nothing runs on the destination, then run it by hand (QMP cont)'
    : 'The guest may have run on the destination, so the source VM must not run again; it stays stopped with the memory it had at the switch';
}
