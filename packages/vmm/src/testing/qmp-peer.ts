import { createServer, type Socket } from 'node:net';
import type { Scratch } from './scratch.js';

export const GREETING =
  '{"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":22},"package":"test"},"capabilities":[]}}\r\n';

/** A Unix socket server that does to its clients what a test says. Answers with its path. */
export async function listenAs(
  scratch: Scratch,
  behave: (socket: Socket) => void,
  path?: string,
): Promise<string> {
  const at = path ?? (await scratch.path('peer.qmp'));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    // A client that drops us is what many of these tests expect.
    socket.on('error', () => undefined);
    behave(socket);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(at, resolve));
  scratch.defer(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return at;
}

/** A command that a well-behaved peer has received. */
export interface Request {
  readonly execute: string;
  readonly id: string;
}

/** Greets, accepts the handshake, and hands each later command to the test. */
export function serveQmp(onCommand: (request: Request, socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    let text = '';
    socket.write(GREETING);
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const request = JSON.parse(line) as Request;
        if (request.execute === 'qmp_capabilities') socket.write(`{"return":{},"id":"${request.id}"}\n`);
        else onCommand(request, socket);
      }
    });
  };
}
