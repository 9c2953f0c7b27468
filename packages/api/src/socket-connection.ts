import { randomUUID } from 'node:crypto';
import { createServer, Socket } from 'node:net';
import { ChannelCredentials, ServerCredentials, type Server } from '@grpc/grpc-js';

type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/** What a gRPC client takes to speak over one connection that exists already. */
export interface SocketTarget {
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** When the client is closed: removes what helped it to connect, and the connection if it never did. Idempotent. */
  close(): void;
}

/** Makes a Socket of a connected descriptor, which it owns from then on: in any thread, in one. */
export function openSocket(fd: number): Socket {
  const socket = new Socket({ fd, readable: true, writable: true });
  // A TCP socket that somebody else has made waits for acknowledgements; a Unix socket knows no delay.
  return socket.setNoDelay(true);
}

/**
 * Lets one gRPC client speak over a connected socket, which is made when it connects and belongs to its
 * channel from then on. A channel that connects again, as after a loss, is told that it cannot.
 *
 * grpc-js connects by itself and only to addresses. So it connects to a listener of ours, which hangs up, and
 * the credentials put the real socket in the place of that connection: no byte takes a detour, and whoever
 * else finds the listener finds nothing. `name` says in messages which connection it is.
 */
export function connectOver(open: () => Socket, name: string): SocketTarget {
  // In Linux's abstract namespace, so that there is no file to keep others from or to leave behind.
  const path = `\0umem-door-${randomUUID()}`;
  const connection = new OneConnection(open, name);
  const door = createServer((visitor) => visitor.destroy());
  // The channel then finds nobody there and says so.
  door.once('error', () => door.close());
  // Bound and listening when this returns; it keeps no process from ending.
  door.listen(path).unref();
  const close = (): void => {
    door.close();
    connection.drop();
  };
  return { address: `unix:${path}`, credentials: new SocketCredentials(connection), close };
}

/**
 * Serves a connected socket as one connection of a gRPC server. What the peer has not spoken on yet is left
 * alone: until it needs a lane it reads nothing, and would be taken for dead.
 */
export function serveOver(server: Server, socket: Socket): void {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  socket.once('readable', () => {
    // At the end of the connection there is something "readable" as well: nothing.
    if (socket.readableLength > 0) injector.injectConnection(socket);
    else socket.destroy();
  });
  // What went wrong with a connection is said by its end, of which its lanes hear.
  socket.on('error', () => {});
  socket.once('close', () => injector.destroy());
}

/** A socket that is made and taken once. */
class OneConnection {
  #open: (() => Socket) | null;
  readonly #name: string;

  constructor(open: () => Socket, name: string) {
    this.#open = open;
    this.#name = name;
  }

  take(): Socket {
    const open = this.#open;
    if (!open) throw new Error(`${this.#name} is one connection and has been used`);
    this.#open = null;
    return open();
  }

  /** Ends it when nobody has taken it. */
  drop(): void {
    if (this.#open) this.take().destroy();
  }
}

/** In the clear, over one socket, once. */
class SocketCredentials extends ChannelCredentials {
  readonly #connection: OneConnection;

  constructor(connection: OneConnection) {
    super();
    this.#connection = connection;
  }

  override _isSecure(): boolean {
    return false;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...settings: Parameters<ChannelCredentials['_createSecureConnector']>
  ): SecureConnector {
    const plain = ChannelCredentials.createInsecure()._createSecureConnector(...settings);
    return {
      waitForReady: () => plain.waitForReady(),
      getCallCredentials: () => plain.getCallCredentials(),
      connect: async (visitor) => {
        visitor.destroy();
        return plain.connect(this.#connection.take());
      },
      destroy: () => plain.destroy(),
    };
  }
}
