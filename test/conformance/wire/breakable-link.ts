import { connect, createServer, type Server, type Socket } from 'node:net';

/** A way to an address that can be cut like a cable: both ends see a reset, nobody says goodbye. */
export class BreakableLink {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** Forwards connections to `target`, host:port or unix:PATH. */
  static async start(target: string): Promise<BreakableLink> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const bound = server.address();
    if (bound === null || typeof bound === 'string') throw new Error('A TCP server without a port');
    const link = new BreakableLink(server, `127.0.0.1:${bound.port}`);
    server.on('connection', (near) => link.#join(near, dial(target)));
    return link;
  }

  /** Cuts what is connected; new connections are forwarded as before. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  #join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.pipe(to);
      // The other end learns of it by the close that follows.
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}

function dial(target: string): Socket {
  if (target.startsWith('unix:')) return connect(target.slice('unix:'.length));
  const at = target.lastIndexOf(':');
  return connect(Number(target.slice(at + 1)), target.slice(0, at).replace(/^\[|\]$/g, ''));
}
