import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Lab } from './lab.js';

export interface QmpProxyOptions {
  /** Where agents connect. */
  readonly listenPath: string;
  /** Where the VMM listens. */
  readonly vmmPath: string;
  /** RAM files to hold open: agents expect that of the process behind a QMP socket. */
  readonly ramPaths?: Iterable<string>;
}

/** A command that does not get through. */
export interface HeldCommand {
  /** Settles when an agent has sent it. */
  readonly reached: Promise<void>;
  /** Lets it and everything after it through. */
  release(): void;
}

/**
 * Stands between an agent and a VMM's QMP socket and can hold a command back, so that a test
 * stops a migration at exactly that moment. Works with QEMU and with the process guest.
 */
export class QmpProxy {
  readonly #vmmPath: string;
  readonly #holds = new Map<string, { reached: () => void; released: Promise<void> }>();

  private constructor(vmmPath: string) {
    this.#vmmPath = vmmPath;
  }

  static async listen(lab: Lab, options: QmpProxyOptions): Promise<QmpProxy> {
    const proxy = new QmpProxy(options.vmmPath);
    for (const path of options.ramPaths ?? []) {
      const file = await open(path);
      lab.cleanup.defer(`close ${path}`, () => file.close());
    }
    const sockets = new Set<Socket>();
    const server = createServer((agent) => {
      sockets.add(agent);
      agent.once('close', () => sockets.delete(agent));
      proxy.#serve(agent);
    });
    server.listen(options.listenPath);
    await once(server, 'listening');
    lab.cleanup.defer(`close the QMP proxy ${options.listenPath}`, () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return proxy;
  }

  /** Holds the next command with this name. */
  hold(command: string): HeldCommand {
    let reached = (): void => undefined;
    let release = (): void => undefined;
    const atCommand = new Promise<void>((resolve) => (reached = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    this.#holds.set(command, { reached, released });
    return { reached: atCommand, release };
  }

  #serve(agent: Socket): void {
    const vmm = connect(this.#vmmPath);
    vmm.pipe(agent);
    // Either end of a proxy may go away at any time; the other one is told by closing.
    vmm.on('error', () => agent.destroy());
    agent.on('error', () => vmm.destroy());
    agent.on('close', () => vmm.destroy());
    // A connection that breaks off ends the reading of its lines with the same error.
    this.#forwardCommands(agent, vmm).catch(() => vmm.destroy());
  }

  async #forwardCommands(agent: Socket, vmm: Socket): Promise<void> {
    for await (const line of createInterface({ input: agent })) {
      const { execute } = JSON.parse(line) as { execute?: string };
      const hold = execute === undefined ? undefined : this.#holds.get(execute);
      if (execute !== undefined && hold !== undefined) {
        this.#holds.delete(execute);
        hold.reached();
        await hold.released;
      }
      if (!vmm.destroyed) vmm.write(`${line}\n`);
    }
  }
}
