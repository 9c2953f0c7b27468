import type { MessagePort, Worker } from 'node:worker_threads';
import { fromWireError, toWireError, type WireError } from './wire-error.js';

/** What travels: a call that wants an answer, a note that does not, or an answer. */
type Envelope<Message> =
  | { readonly call: number; readonly message: Message }
  | { readonly note: true; readonly message: Message }
  | { readonly answer: number; readonly error: WireError | null };

/**
 * Calls between two threads: both sides may call, an answer is done or an error. Messages of one
 * side are handled in order; each may be answered late.
 */
export class ThreadCalls<Out, In> {
  readonly #port: Pick<MessagePort | Worker, 'postMessage'>;
  readonly #waiting = new Map<number, (error: Error | null) => void>();
  #next = 1;
  #closed: Error | null = null;

  /** `handle` may throw or reject; a note's failure is passed to `onNoteFailed`. */
  constructor(
    port: MessagePort | Worker,
    handle: (message: In) => Promise<void> | void,
    onNoteFailed: (error: unknown) => void,
  ) {
    this.#port = port;
    port.on('message', (envelope: Envelope<In>) => {
      if ('answer' in envelope) return this.#answered(envelope.answer, envelope.error);
      const done = Promise.resolve(envelope.message).then(handle);
      if ('note' in envelope) return void done.catch(onNoteFailed);
      const answer = (error: WireError | null): void => this.#post({ answer: envelope.call, error });
      done.then(
        () => answer(null),
        (error: unknown) => answer(toWireError(error)),
      );
    });
  }

  /** Resolves when the other side has done it; rejects with its error, or when the thread has ended. */
  call(message: Out): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    const call = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, (failure) => (failure === null ? resolve() : reject(failure)));
      this.#post({ call, message });
    });
  }

  tell(message: Out): void {
    if (!this.#closed) this.#post({ note: true, message });
  }

  /** The other thread has ended: calls that wait fail with `error`, and later ones, too. */
  close(error: Error): void {
    this.#closed ??= error;
    for (const settle of [...this.#waiting.values()]) settle(error);
    this.#waiting.clear();
  }

  #answered(call: number, error: WireError | null): void {
    const settle = this.#waiting.get(call);
    this.#waiting.delete(call);
    settle?.(error === null ? null : fromWireError(error));
  }

  #post(envelope: Envelope<Out>): void {
    this.#port.postMessage(envelope);
  }
}
