import { credentials, Metadata, type ChannelOptions } from '@grpc/grpc-js';
import {
  connectOver,
  LaneClient,
  openSocket,
  TOKEN_KEY,
  type IncomingReply,
  type Init,
  type LaneStream,
  type SocketTarget,
  type UmemRequest,
} from '@umem/api';
import { DeadlineExceeded } from '@umem/errors';
import { toLoss, type LaneLoss } from './lane-loss.js';

/** How to open a lane; plain data, can be posted to a worker. */
export interface LaneSettings {
  /** For messages: "demand lane". */
  readonly lane: string;
  /** host:port, unix:PATH or fd:N of `PageSource`. */
  readonly address: string;
  /** The connected socket to use, which the lane owns; null: connect to `address`. */
  readonly socketFd: number | null;
  readonly token: string;
  readonly init: Init;
  /** Milliseconds within which the source must accept. */
  readonly timeoutMs: number;
}

export interface LaneListener {
  /** The source accepted INIT. Pages may follow once `read` is called. */
  accepted(): void;
  /** The lane is over and `cancel` or `finish` did not ask for it. Called once. */
  lost(loss: LaneLoss): void;
}

/** One `Serve` stream on an HTTP/2 connection of its own. Any thread. */
export class Lane {
  readonly #client: LaneClient;
  readonly #socket: SocketTarget | null;
  readonly #stream: LaneStream;
  readonly #acceptTimer: NodeJS.Timeout;
  #over = false;
  #ended: () => void = () => {};
  /** Resolves when the stream is over, whoever ended it. */
  readonly #end = new Promise<void>((resolve) => (this.#ended = resolve));
  #error: unknown = null;

  /** Connects and sends INIT at once; what comes of it is told to `listener`, never before this returns. */
  constructor(settings: LaneSettings, channel: ChannelOptions, listener: LaneListener) {
    const { lane, address, socketFd, token, init, timeoutMs } = settings;
    this.#socket = socketFd === null ? null : connectOver(() => openSocket(socketFd), address);
    const to = this.#socket ?? { address, credentials: credentials.createInsecure() };
    this.#client = new LaneClient(to.address, to.credentials, channel);
    const metadata = new Metadata();
    metadata.set(TOKEN_KEY, token);
    this.#stream = this.#client.serve(metadata);
    this.#acceptTimer = setTimeout(() => {
      lose(new DeadlineExceeded(`no answer to INIT within ${timeoutMs} ms`));
      this.cancel();
    }, timeoutMs);
    const lose = (error: unknown): void => {
      if (this.#over) return;
      this.#over = true;
      clearTimeout(this.#acceptTimer);
      listener.lost(toLoss(lane, error));
    };
    this.#stream.once('metadata', () => {
      clearTimeout(this.#acceptTimer);
      if (!this.#over) listener.accepted();
    });
    this.#stream.on('error', (error) => {
      this.#error = error;
      lose(error);
    });
    // Emitted once, after 'error' where there is one: the stream's last word.
    this.#stream.once('status', () => {
      lose(null);
      this.#client.close();
      this.#socket?.close();
      this.#ended();
    });
    // Until the first read grpc-js holds nobody back: it would queue all that the source sends.
    this.#stream.read(0);
    this.#stream.write({ command: { $case: 'init', value: init } });
    // grpc-js holds a source back only once a read has begun: without this, what is pushed before
    // `read` is called would pile up without bound. It fills the stream's buffer (16 replies) and stops.
    this.#stream.read(0);
  }

  /** Lets replies flow to `onReply`; until then gRPC holds the source back. */
  read(onReply: (reply: IncomingReply) => void): void {
    this.#stream.on('data', (reply: IncomingReply) => {
      if (!this.#over) onReply(reply);
    });
  }

  /** Leaves replies unread (true), where gRPC holds the source back, or reads them again. */
  pause(paused: boolean): void {
    if (paused) this.#stream.pause();
    else this.#stream.resume();
  }

  /** Sends a request; false when the stream would rather take the next one after `onDrain`. */
  write(request: UmemRequest): boolean {
    return this.#over || this.#stream.write(request);
  }

  /** Calls back once, when the stream takes requests again. */
  onDrain(listener: () => void): void {
    this.#stream.once('drain', listener);
  }

  /** Ends the lane without ado. Idempotent. */
  cancel(): void {
    this.#over = true;
    clearTimeout(this.#acceptTimer);
    this.#stream.cancel();
  }

  /**
   * Sends EOC, closes our half and waits up to `timeoutMs` for the source to end the stream. Answers
   * with why that was not clean, null when it was.
   */
  async finish(timeoutMs: number): Promise<string | null> {
    if (this.#over) return this.#error === null ? null : toLoss('', this.#error).message;
    this.#over = true;
    this.#stream.write({ command: { $case: 'eoc', value: {} } });
    this.#stream.end();
    // A status is delivered only when everything before it has been read.
    this.#stream.resume();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#stream.cancel();
    }, timeoutMs);
    await this.#end;
    clearTimeout(timer);
    if (late) return `the source did not end it within ${timeoutMs} ms of EOC`;
    return this.#error === null ? null : toLoss('', this.#error).message;
  }
}
