import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Two ends of one connection, over a Unix socket or over TCP; nothing listens any more. */
export async function socketPair(kind: 'unix' | 'tcp' = 'unix'): Promise<[Socket, Socket]> {
  const folder = mkdtempSync(join(tmpdir(), 'umem-pair-'));
  const path = join(folder, 'socket');
  // Whoever gets an end reads it: bytes that came before wait.
  const listener = createServer({ pauseOnConnect: true });
  listener.listen(kind === 'unix' ? { path } : { port: 0, host: '127.0.0.1' });
  await once(listener, 'listening');
  const client =
    kind === 'unix' ? connect(path) : connect((listener.address() as AddressInfo).port, '127.0.0.1');
  const [[server]] = (await Promise.all([once(listener, 'connection'), once(client, 'connect')])) as [
    [Socket],
    unknown,
  ];
  listener.close();
  rmSync(folder, { recursive: true });
  return [client, server];
}
