import { Server } from '@grpc/grpc-js';
import { LaneServerService, openSocket, SERVER, serveOver, type LaneServer } from '@umem/api';
import type { Logger } from '@umem/daemon';
import { HostPrecondition, InvalidArgument } from '@umem/errors';
import { adoptDescriptor, findSocketProblem } from '@umem/native';
import { events } from '../events.js';

/** A connected socket that the process was started with. */
export interface InheritedSocket {
  /** The descriptor it has now. */
  readonly fd: number;
  /** The number it had at the start, which its operator knows. */
  readonly inherited: number;
}

/**
 * Takes over the descriptors of --serve-fds, at the start of the process. Throws InvalidArgument and
 * HostPrecondition, and then leaves all of them as they are.
 */
export function adoptSockets(fds: readonly number[]): InheritedSocket[] {
  if (new Set(fds).size < fds.length)
    throw new InvalidArgument(`--serve-fds ${fds.join(',')} names a descriptor twice: it is one connection`);
  const problems = fds.map((fd) => findSocketProblem(fd)).filter((problem) => problem !== null);
  if (problems.length > 0) throw new HostPrecondition(`--serve-fds cannot be used: ${problems.join('; ')}`);
  return fds.map((inherited) => ({ fd: adoptDescriptor(inherited), inherited }));
}

/** Who answers on the lanes, and serves all connections but the first. */
export interface LaneSessions {
  readonly laneServer: LaneServer;
  serveInWorkers(sockets: readonly InheritedSocket[]): void;
}

/**
 * Lanes over inherited connections, and nothing else: whoever is at their other end gets no other service of
 * the agent. The first connection is served on the main event loop, as demand wants it.
 */
export class InheritedLanes {
  readonly #server = new Server({
    ...SERVER,
    // A peer that vanished, or hangs, is noticed within 20 s of its first word.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });

  constructor(sockets: readonly InheritedSocket[], sessions: LaneSessions, log: Logger) {
    this.#server.addService(LaneServerService, sessions.laneServer);
    const [first, ...others] = sockets;
    if (!first) return;
    const socket = openSocket(first.fd);
    socket.once('close', () => log.event(events.inheritedEnded, { fd: first.inherited }));
    serveOver(this.#server, socket);
    sessions.serveInWorkers(others);
    log.event(events.inheritedServed, { fds: sockets.map(({ inherited }) => inherited) });
  }

  /** Ends the connection on the main event loop; the others end with their threads. */
  stop(): void {
    this.#server.forceShutdown();
  }
}
