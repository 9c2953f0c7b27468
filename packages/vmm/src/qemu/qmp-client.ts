import type { Socket } from 'node:net';
import type { z } from 'zod';
import {
  Cancelled,
  DeadlineExceeded,
  HostPrecondition,
  PeerUnavailable,
  messageOf,
  type UmemError,
} from '@umem/errors';
import { LineReader } from './line-reader.js';
import { openSocket } from './open-socket.js';
import { QmpError } from './qmp-error.js';
import { parseQmpLine, type QmpMessage, type QmpVersion } from './qmp-message.js';
import { checkSocketPath } from './socket-path.js';

/** Longest line taken from a VMM: many times the largest reply known, the schema of all commands. */
const MAX_LINE_BYTES = 4 * 2 ** 20;

export interface QmpClientOptions {
  /** Longest wait, in milliseconds, for the socket to appear and for the handshake. Default 5000. */
  timeoutMs?: number | undefined;
  /** Longest wait for one command's reply, in milliseconds. Default 10000. */
  commandTimeoutMs?: number | undefined;
  /** Gives up connecting; has no effect afterwards. */
  signal?: AbortSignal | undefined;
}

export type QmpEventListener = (data: Readonly<Record<string, unknown>>) => void;

interface PendingCommand {
  readonly command: string;
  resolve(value: unknown): void;
  reject(error: UmemError): void;
}

/**
 * A QMP connection: one JSON object per line, replies matched by id. A peer that breaks the
 * protocol loses the connection, and with it everything pending is rejected.
 */
export class QmpClient {
  readonly #socket: Socket;
  readonly #path: string;
  readonly #commandTimeoutMs: number;
  readonly #lines = new LineReader(MAX_LINE_BYTES);
  readonly #pending = new Map<string, PendingCommand>();
  /** Ids of commands that timed out: a late reply to one of them is no protocol error. */
  readonly #abandoned = new Set<string>();
  readonly #eventListeners = new Map<string, Set<QmpEventListener>>();
  readonly #endListeners = new Set<(error: UmemError | null) => void>();
  #onGreeting: ((version: QmpVersion) => void) | null = null;
  #version: QmpVersion | null = null;
  #end: { readonly error: UmemError | null } | null = null;
  #isEndExpected = false;
  #lastId = 0;

  private constructor(socket: Socket, path: string, commandTimeoutMs: number) {
    this.#socket = socket;
    this.#path = path;
    this.#commandTimeoutMs = commandTimeoutMs;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#lose(`The QMP connection to ${path} broke`, error));
    socket.on('close', () => this.#lose(`The VMM closed the QMP connection to ${path}`));
  }

  /** Connects and negotiates. Rejects with PeerUnavailable, HostPrecondition, Cancelled or InvalidArgument. */
  static async connect(path: string, options: QmpClientOptions = {}): Promise<QmpClient> {
    const { timeoutMs = 5000, commandTimeoutMs = 10_000, signal } = options;
    checkSocketPath(path);
    const deadline = performance.now() + timeoutMs;
    const socket = await openSocket(path, { deadline, signal });
    const client = new QmpClient(socket, path, commandTimeoutMs);
    const abort = () =>
      client.#finish(new Cancelled(`Connecting to ${path} was cancelled`, { cause: signal?.reason }));
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await client.#negotiate(deadline, timeoutMs);
      return client;
    } catch (error) {
      client.close();
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** What the greeting said. */
  get version(): QmpVersion {
    if (this.#version === null) throw new Error('QMP has not been negotiated');
    return this.#version;
  }

  /**
   * Runs a command and checks its reply. Rejects with QmpError (the VMM refused), DeadlineExceeded
   * (no reply in time; the connection stays), PeerUnavailable (connection lost) or HostPrecondition
   * (a reply of another shape).
   */
  async execute<T>(
    command: string,
    reply: z.ZodType<T>,
    args?: Readonly<Record<string, unknown>>,
    timeoutMs = this.#commandTimeoutMs,
  ): Promise<T> {
    const parsed = reply.safeParse(await this.#send(command, args, timeoutMs));
    if (parsed.success) return parsed.data;
    throw new HostPrecondition(
      `The VMM's reply to QMP command ${command} has a shape that umem does not know`,
      {
        cause: parsed.error,
        metadata: { command },
      },
    );
  }

  /** Calls back on each event of that name; answers with what ends it. */
  onEvent(name: string, listener: QmpEventListener): () => void {
    const listeners = this.#eventListeners.get(name) ?? new Set();
    this.#eventListeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Calls back once when the connection ends (at once when it has): null when `close` ended it. */
  onEnd(listener: (error: UmemError | null) => void): () => void {
    if (this.#end) listener(this.#end.error);
    else this.#endListeners.add(listener);
    return () => this.#endListeners.delete(listener);
  }

  /** The VMM was told to exit: when it closes the connection now, nothing was lost. */
  expectEnd(): void {
    this.#isEndExpected = true;
  }

  /** Ends the connection; the VMM does not notice. Idempotent. */
  close(): void {
    this.#finish(null);
  }

  async #negotiate(deadline: number, timeoutMs: number): Promise<void> {
    this.#version = await new Promise<QmpVersion>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          this.#finish(
            new PeerUnavailable(
              `Nothing greeted on ${this.#path} within ${timeoutMs} ms: QEMU serves one client per QMP socket, so another client may hold it; close that client or start QEMU with a second -qmp`,
              { metadata: { path: this.#path, timeoutMs: String(timeoutMs) } },
            ),
          ),
        deadline - performance.now(),
      );
      const removeEnd = this.onEnd((error) => {
        clearTimeout(timer);
        reject(error ?? new Cancelled(`The QMP connection to ${this.#path} was closed`));
      });
      this.#onGreeting = (version) => {
        clearTimeout(timer);
        removeEnd();
        resolve(version);
      };
    });
    await this.#send('qmp_capabilities', undefined, Math.max(1, deadline - performance.now()));
  }

  #send(
    command: string,
    args: Readonly<Record<string, unknown>> | undefined,
    timeoutMs: number,
  ): Promise<unknown> {
    if (this.#end)
      return Promise.reject(
        new PeerUnavailable(
          `QMP command ${command} cannot be sent: the connection to ${this.#path} has ended`,
          {
            cause: this.#end.error ?? undefined,
          },
        ),
      );
    const id = `umem-${++this.#lastId}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        this.#abandoned.add(id);
        reject(
          new DeadlineExceeded(
            `The VMM on ${this.#path} did not answer QMP command ${command} within ${Math.round(timeoutMs)} ms`,
            {
              metadata: { command, path: this.#path },
            },
          ),
        );
      }, timeoutMs);
      this.#pending.set(id, {
        command,
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      const request =
        args === undefined ? { execute: command, id } : { execute: command, arguments: args, id };
      this.#socket.write(`${JSON.stringify(request)}\n`);
    });
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) {
        if (this.#end) return;
        if (line.trim() !== '') this.#dispatch(parseQmpLine(line));
      }
    } catch (error) {
      this.#finish(
        new HostPrecondition(`What ${this.#path} sent is not QMP: ${messageOf(error)}`, {
          cause: error,
          metadata: { path: this.#path },
        }),
      );
    }
  }

  #dispatch(message: QmpMessage): void {
    if (message.kind === 'event') {
      for (const listener of [...(this.#eventListeners.get(message.event) ?? [])]) listener(message.data);
      return;
    }
    if (message.kind === 'greeting') {
      if (this.#onGreeting === null) throw new Error('it greets twice');
      this.#onGreeting(message.version);
      this.#onGreeting = null;
      return;
    }
    if (typeof message.id === 'string' && this.#abandoned.delete(message.id)) return;
    const pending = typeof message.id === 'string' ? this.#pending.get(message.id) : undefined;
    if (pending === undefined || typeof message.id !== 'string')
      throw new Error(
        `it answers a command that was not sent (id ${JSON.stringify(message.id) ?? 'missing'})${message.kind === 'error' ? `: ${message.desc}` : ''}`,
      );
    this.#pending.delete(message.id);
    if (message.kind === 'return') pending.resolve(message.value);
    else pending.reject(new QmpError(pending.command, message.qmpClass, message.desc));
  }

  #lose(text: string, cause?: Error): void {
    const error = new PeerUnavailable(text, { cause, metadata: { path: this.#path } });
    this.#finish(this.#isEndExpected ? null : error);
  }

  #finish(error: UmemError | null): void {
    if (this.#end) return;
    this.#end = { error };
    this.#socket.destroy();
    const reason = error ?? new Cancelled(`The QMP connection to ${this.#path} was closed`);
    for (const pending of this.#pending.values()) pending.reject(reason);
    this.#pending.clear();
    for (const listener of [...this.#endListeners]) listener(error);
    this.#endListeners.clear();
  }
}
