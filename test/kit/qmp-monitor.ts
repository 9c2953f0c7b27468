import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** A QMP socket as a person with a terminal uses it: one command at a time, answers as they come. */
export class QmpMonitor {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  static async connect(path: string): Promise<QmpMonitor> {
    const socket = connect({ path });
    await once(socket, 'connect');
    const monitor = new QmpMonitor(socket);
    await monitor.#lines.next();
    await monitor.execute('qmp_capabilities');
    return monitor;
  }

  /** Answers with what the command returned; rejects with the VMM's own words. */
  async execute(command: string, args: object = {}): Promise<unknown> {
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    for (;;) {
      const next = await this.#lines.next();
      if (next.done) throw new Error(`The VMM hung up on ${command}`);
      const message = JSON.parse(next.value) as { return?: unknown; error?: { desc: string } };
      if (message.error) throw new Error(`${command}: ${message.error.desc}`);
      // Everything else is an event.
      if ('return' in message) return message.return;
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
