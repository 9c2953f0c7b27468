import { call, type Migration, type MigrationServiceClient } from '@umem/api';
import { messageOf, WrongState, HostPrecondition } from '@umem/errors';
import type { Peer } from '../client/connect.js';
import type { CliIo } from '../io.js';
import type { Progress } from '../output/progress.js';
import type { Followed } from './follow.js';
import { askWhatToDo } from './question.js';

/** Cancelling returns when the source guest runs again. */
const CANCEL_TIMEOUT_MS = 60_000;

interface InterruptionSettings {
  readonly io: CliIo;
  readonly peer: Peer<MigrationServiceClient>;
  readonly progress: Progress;
  /** Whether a person can be asked; otherwise an interrupt cancels. */
  readonly interactive: boolean;
  readonly latest: () => Migration;
  /** Whether cancelling is an option now. */
  readonly mayCancel: () => boolean;
}

/**
 * What Ctrl-C and SIGTERM do while a migration is followed. Before the point of no return Ctrl-C asks
 * (on a terminal) or cancels; after it both only detach, because nothing can be undone.
 */
export class Interruption {
  /** Settles when an interrupt ends the following. */
  readonly result: Promise<Followed>;
  #resolve: (followed: Followed) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;
  #question: AbortController | null = null;
  #cancelling = false;
  readonly #onInt = (): void => this.#interrupt(this.settings.interactive);
  readonly #onTerm = (): void => this.#interrupt(false);

  constructor(private readonly settings: InterruptionSettings) {
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const interrupts = settings.io.interrupts ?? process;
    interrupts.on('SIGINT', this.#onInt);
    interrupts.on('SIGTERM', this.#onTerm);
  }

  /** The point of no return was passed: an open question has lost its meaning. */
  tooLate(): void {
    if (!this.#question) return;
    this.#takeQuestionBack();
    this.settings.progress.note(
      'Too late to cancel: the guest runs on the destination now. Ctrl-C stops watching.',
    );
  }

  close(): void {
    const interrupts = this.settings.io.interrupts ?? process;
    interrupts.off('SIGINT', this.#onInt);
    interrupts.off('SIGTERM', this.#onTerm);
    this.#takeQuestionBack();
  }

  #interrupt(ask: boolean): void {
    if (this.#question) {
      // A second Ctrl-C at the question is an answer.
      this.#takeQuestionBack();
      this.#act('cancel');
    } else if (!this.settings.mayCancel() || this.#cancelling) {
      this.#detach();
    } else if (ask) {
      this.#ask();
    } else {
      this.#act('cancel');
    }
  }

  #ask(): void {
    const { io, progress } = this.settings;
    progress.pause();
    const question = new AbortController();
    this.#question = question;
    askWhatToDo(io, question.signal).then(
      (answer) => {
        if (answer === null) return;
        this.#question = null;
        if (answer === 'go on') progress.resume();
        else this.#act(answer);
      },
      (error: unknown) => this.#reject(error),
    );
  }

  #takeQuestionBack(): void {
    const question = this.#question;
    this.#question = null;
    if (!question) return;
    question.abort();
    this.settings.progress.resume();
  }

  #act(answer: 'cancel' | 'detach'): void {
    if (answer === 'detach') this.#detach();
    else void this.#cancel();
  }

  #detach(): void {
    const { progress, latest, mayCancel, peer } = this.settings;
    const migration = latest();
    const why = mayCancel()
      ? 'The migration goes on without umemctl.'
      : 'The guest runs on the destination, or is about to, and the migration goes on without umemctl.';
    progress.note(
      `Detached. ${why} Watch it again with: umemctl migration watch ${migration.migrationId} --agent ${peer.address}`,
    );
    this.#resolve({ migration, detached: true });
  }

  /** Never rejects: how it ends goes into `result`. */
  async #cancel(): Promise<void> {
    const { peer, progress, latest, interactive } = this.settings;
    this.#cancelling = true;
    progress.note('Cancelling: the guest will run on, on the source.');
    try {
      const request = { migration: latest().migrationId };
      const settings = { peer: peer.name, timeoutMs: CANCEL_TIMEOUT_MS };
      const migration = await call(peer.client, peer.client.cancelMigration, request, settings);
      this.#resolve({ migration, detached: false });
    } catch (error) {
      const refused = error instanceof WrongState || error instanceof HostPrecondition;
      if (refused || interactive) progress.note(`Not cancelled: ${messageOf(error)}`);
      if (interactive) progress.resume();
      else if (refused) this.#detach();
      else this.#reject(error);
    } finally {
      this.#cancelling = false;
    }
  }
}
