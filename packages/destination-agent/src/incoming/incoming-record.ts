import type { Umem } from '@umem/api';
import { StateMachine, Watchable, type Logger } from '@umem/daemon';
import { events } from '../events.js';
import { INCOMING_TABLE, type IncomingStage } from '../incoming-state.js';

/** What is known about one incoming VM, and the only place where its stage changes. */
export class IncomingRecord {
  /** Empty before ConnectIncoming. */
  migrationId = '';
  /** FAILED only: what failed and what to do. */
  error = '';
  /** FAILED only: whether the guest lost nothing. */
  guestRecoverable = false;
  /** When the guest was resumed, in microseconds of Unix time; 0 before that. */
  resumedAtUnixUs = 0n;
  pageServerLost = false;
  /** What the page server last said. */
  umem: Umem;

  /** Tells of each change but those of statistics, which followers ask for in their own interval. */
  readonly changes: Watchable<IncomingRecord>;
  readonly #machine: StateMachine<IncomingStage>;

  constructor(
    readonly name: string,
    umem: Umem,
    log: Logger,
  ) {
    this.umem = umem;
    this.changes = new Watchable<IncomingRecord>(this);
    this.#machine = new StateMachine<IncomingStage>({
      subject: `incoming VM "${name}"`,
      initial: 'PREPARED',
      table: INCOMING_TABLE,
      onTransition: (from, to, reason) =>
        log.event(events.incomingMoved, { vm: name, migrationId: this.migrationId, from, to, reason }),
    });
  }

  get stage(): IncomingStage {
    return this.#machine.current;
  }

  is(...stages: readonly IncomingStage[]): boolean {
    return this.#machine.is(...stages);
  }

  /** Throws WrongState unless the stage is one of `allowed`. */
  require(allowed: readonly IncomingStage[], clause: string): void {
    this.#machine.require(allowed, this.error === '' ? clause : `${clause}. It failed: ${this.error}`);
  }

  /** Moves on and tells the followers; the last stage ends them. Throws WrongState. */
  move(to: IncomingStage, reason: string): void {
    this.#machine.transition(to, reason);
    if (this.#machine.isFinal) this.changes.end();
    else this.changes.notify();
  }

  /** Moves to FAILED. Throws WrongState. */
  fail(error: string, { guestRecoverable }: { guestRecoverable: boolean }): void {
    this.error = error;
    this.guestRecoverable = guestRecoverable;
    this.move('FAILED', error);
  }
}
