import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** What the proxy answers to `cont` in the VMM's place; null lets it pass. */
export type ContAnswer =
  { readonly error: { class: string; desc: string } } | { readonly return: object } | null;

/** Stands between an agent and a VMM's QMP socket, to answer `cont` as a VMM that is broken would. */
export class QmpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(path: string, vmmPath: string, cont: ContAnswer): Promise<QmpProxy> {
    const server = createServer();
    const proxy = new QmpProxy(server);
    server.on('connection', (agent) => {
      const vmm = createConnection(vmmPath);
      for (const socket of [agent, vmm]) {
        proxy.#sockets.add(socket);
        // The other side sees the end, which is what such an error means.
        socket.on('error', () => {});
      }
      vmm.pipe(agent);
      agent.on('close', () => vmm.destroy());
      createInterface({ input: agent }).on('line', (line) => {
        const { execute, id } = JSON.parse(line) as { execute: string; id: string };
        if (execute === 'cont' && cont) agent.write(`${JSON.stringify({ ...cont, id })}\n`);
        else vmm.write(`${line}\n`);
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return proxy;
  }

  /** Breaks all connections. */
  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
