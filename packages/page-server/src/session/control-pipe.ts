import type { ServerDuplexStream } from '@grpc/grpc-js';
import { toServiceError, UmemState, type UmemdCommand, type VmmCommand } from '@umem/api';
import { AlreadyExists, InvalidArgument } from '@umem/errors';
import type { UmemStateName } from '../umem-state.js';
import type { NamedPages } from './named-pages.js';

export type ControlStream = ServerDuplexStream<VmmCommand, UmemdCommand>;

/** What the VMM side says. What a method throws ends its stream with that status. */
export interface ControlListener {
  /** READY: arm. */
  ready(): void;
  /** QUIT that does not answer ours: the VMM is going away. */
  quit(): void;
  /** PAGE_FAULTED. */
  touched(pages: NamedPages): void;
  /** PAGE_UNMAPPED. */
  unmapped(pages: NamedPages): void;
  /** The stream is over; another may come. */
  lost(): void;
}

/** The pipe to the VMM side of one umem set: one stream at a time. Main event loop only. */
export class ControlPipe {
  readonly #subject: string;
  readonly #listener: ControlListener;
  #stream: ControlStream | null = null;
  #quitAnswered: (() => void) | null = null;

  /** `subject`: whose pipe it is, for messages: "umem vm1". */
  constructor(subject: string, listener: ControlListener) {
    this.#subject = subject;
    this.#listener = listener;
  }

  get isAttached(): boolean {
    return this.#stream !== null;
  }

  /** Takes a stream whose ATTACH was read. Throws AlreadyExists when there is one. */
  attach(stream: ControlStream): void {
    if (this.#stream) throw new AlreadyExists(`Another control stream is attached to ${this.#subject}`);
    this.#stream = stream;
    const over = (): void => {
      if (this.#stream !== stream) return;
      this.#stream = null;
      this.#listener.lost();
    };
    stream.on('data', (command: VmmCommand) => {
      if (this.#stream !== stream) return;
      try {
        this.#handle(command);
      } catch (error) {
        over();
        // Not destroy(error): grpc-js then never sends the status.
        stream.emit('error', Object.assign(new Error(), toServiceError(error)));
      }
    });
    stream.on('end', () => {
      over();
      stream.end();
    });
    stream.on('cancelled', over);
    stream.on('error', over);
  }

  sendReady(state: UmemStateName): void {
    this.#send({ $case: 'ready', value: { state: UmemState[state] } });
  }

  sendError(message: string, missingPages: number): void {
    this.#send({ $case: 'error', value: { message, missingPages: BigInt(missingPages) } });
  }

  /** Sends TRIGGER_PAGE_FAULT; false when nobody is attached. */
  sendTouch({ blockId, pgoffs }: NamedPages): boolean {
    if (!this.#stream) return false;
    this.#send({ $case: 'triggerPageFault', value: { blockId, pgoffs: [...pgoffs] } });
    return true;
  }

  /** Sends QUIT, also to a stream that attaches later; true when it was answered within `timeoutMs`. */
  quit(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (answered: boolean): void => {
        clearTimeout(timer);
        this.#quitAnswered = null;
        resolve(answered);
      };
      const timer = setTimeout(() => done(false), timeoutMs);
      this.#quitAnswered = () => done(true);
      this.sendQuit();
    });
  }

  sendQuit(): void {
    this.#send({ $case: 'quit', value: {} });
  }

  /** Ends the stream: there is nothing to control any more. Idempotent. */
  end(): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.end();
  }

  #handle({ command }: VmmCommand): void {
    switch (command?.$case) {
      case 'ready':
        return this.#listener.ready();
      case 'quit':
        return this.#quitAnswered ? this.#quitAnswered() : this.#listener.quit();
      case 'pageUnmapped':
        return this.#listener.unmapped(command.value);
      case 'pageFaulted':
        return this.#listener.touched(command.value);
      case 'attach':
        throw new InvalidArgument('ATTACH is the first message of a stream and comes once');
      default:
        throw new InvalidArgument('command is not set, or unknown');
    }
  }

  #send(command: NonNullable<UmemdCommand['command']>): void {
    this.#stream?.write({ command });
  }
}
