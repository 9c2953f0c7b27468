import { fstatSync, readlinkSync } from 'node:fs';
import { InvalidArgument, PermissionDenied } from '@umem/errors';
import { native, type NativeUnixConnection, type NativeUserfaultfd } from '@umem/native';
import { MessageReader } from './message-reader.js';

/** Milliseconds a VMM has, from connecting, to send its whole message. */
export const HANDOFF_TIMEOUT_MS = 10_000;

const READY = Buffer.from('READY\n');

/** What a VMM handed over; whoever accepts it owns both descriptors. */
export interface Handoff {
  readonly message: readonly unknown[];
  readonly uffd: NativeUserfaultfd;
  /** The RAM file, from our preload library; null from others. */
  readonly ramFd: number | null;
  /** Process id of the VMM, as the kernel reports it. */
  readonly pid: number;
}

export interface HandoffRules {
  /** User ids that may hand over. */
  readonly allowedUids: readonly number[];
  readonly timeoutMs: number;
  /** Takes the handoff; answers whether the VMM waits for READY. What it throws refuses the VMM. */
  accept(handoff: Handoff): { wantsReady: boolean };
  /** Told why a VMM was refused; its descriptors are closed. */
  refused(error: unknown, pid: number, uid: number): void;
  /** Told once, when nothing more comes of the connection. */
  ended(connection: HandoffConnection): void;
}

/**
 * One VMM's connection: reads its message and answers. A peer that is slow, silent or sends rubbish is
 * closed, with whatever descriptors it sent, and disturbs nobody.
 */
export class HandoffConnection {
  readonly #connection: NativeUnixConnection;
  readonly #rules: HandoffRules;
  readonly #reader = new MessageReader();
  readonly #received: number[] = [];
  #timer: NodeJS.Timeout | null = null;
  #over = false;

  constructor(connection: NativeUnixConnection, rules: HandoffRules) {
    this.#connection = connection;
    this.#rules = rules;
  }

  start(): void {
    const { uid } = this.#connection.peer;
    const { allowedUids, timeoutMs } = this.#rules;
    if (!allowedUids.includes(uid))
      return this.#refuse(
        new PermissionDenied(
          `User ${uid} may not hand memory over here, only ${allowedUids.join(', ')}: create the umem with the VMM's user id`,
        ),
      );
    this.#timer = setTimeout(
      () => this.#refuse(new InvalidArgument(`No complete message within ${timeoutMs} ms`)),
      timeoutMs,
    );
    this.#connection.start(
      (bytes, fds) => this.#onData(bytes, fds),
      (error) => this.#refuse(error ?? new InvalidArgument('The VMM closed before its message was complete')),
    );
  }

  /** Closes without a word. Idempotent. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#connection.close();
    for (const fd of this.#received.splice(0)) native.closeFd(fd);
    this.#rules.ended(this);
  }

  #onData(bytes: Buffer, fds: number[]): void {
    // A chunk may have been on its way when the connection was ended.
    if (this.#over) return fds.forEach((fd) => native.closeFd(fd));
    this.#received.push(...fds);
    try {
      const message = this.#reader.push(bytes);
      if (message) this.#finish(message);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #finish(message: readonly unknown[]): void {
    const { uffd, ramFd } = takeDescriptors(this.#received);
    let wantsReady: boolean;
    try {
      ({ wantsReady } = this.#rules.accept({ message, uffd, ramFd, pid: this.#connection.peer.pid }));
    } catch (error) {
      uffd.close();
      if (ramFd !== null) native.closeFd(ramFd);
      throw error;
    }
    // What is written before the close stays readable for the peer.
    if (wantsReady) this.#connection.write(READY);
    this.end();
  }

  #refuse(error: unknown): void {
    if (this.#over) return;
    const { pid, uid } = this.#connection.peer;
    this.end();
    this.#rules.refused(error, pid, uid);
  }
}

/** The userfaultfd, and the RAM file where there is one, out of what came with the message. */
function takeDescriptors(received: number[]): { uffd: NativeUserfaultfd; ramFd: number | null } {
  const [uffdNumber, ramFd] = received;
  if (uffdNumber === undefined) throw new InvalidArgument('No userfaultfd came with the message');
  if (received.length > 2)
    throw new InvalidArgument(
      `${received.length} descriptors came with the message: one userfaultfd and at most one RAM file are expected`,
    );
  if (ramFd !== undefined && !isFile(ramFd))
    throw new InvalidArgument('The second descriptor is not a RAM file');
  let uffd: NativeUserfaultfd;
  try {
    uffd = native.adoptUserfaultfd(uffdNumber);
  } catch (cause) {
    throw new InvalidArgument('The first descriptor is not a userfaultfd', { cause });
  }
  received.splice(0);
  return { uffd, ramFd: ramFd ?? null };
}

/** A file that has a place in a file system, or a memfd: not a socket, a pipe, or another userfaultfd. */
function isFile(fd: number): boolean {
  return fstatSync(fd).isFile() && readlinkSync(`/proc/self/fd/${fd}`).startsWith('/');
}
