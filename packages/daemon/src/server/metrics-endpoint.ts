import { chmod } from 'node:fs/promises';
import { createServer } from 'node:http';
import { formatAddress, type Address } from '@umem/api';
import { HostPrecondition, messageOf } from '@umem/errors';
import { collectDefaultMetrics, type Registry } from 'prom-client';
import { removeStaleSocket } from './unix-socket.js';

/** A running metrics endpoint. */
export interface MetricsEndpoint {
  /** Where it listens, with the real port. */
  readonly address: Address;
  close(): Promise<void>;
}

/** Serves the registry at `GET /metrics`. Throws HostPrecondition when the address cannot be had. */
export async function serveMetrics(listen: Address, registry: Registry): Promise<MetricsEndpoint> {
  collectDefaultMetrics({ register: registry });
  const server = createServer((request, response) => {
    const [path] = (request.url ?? '').split('?', 1);
    if (path !== '/metrics') return response.writeHead(404).end('Metrics are at /metrics\n');
    if (request.method !== 'GET') return response.writeHead(405, { allow: 'GET' }).end();
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(`${messageOf(error)}\n`),
    );
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  if (listen.kind === 'unix') await removeStaleSocket(listen.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new HostPrecondition(
          `Cannot serve metrics on ${formatAddress(listen)}: ${messageOf(error)}; choose another --metrics-listen`,
        ),
      ),
    );
    if (listen.kind === 'unix') server.listen(listen.path, resolve);
    else server.listen(listen.port, listen.host, resolve);
  });
  if (listen.kind === 'unix') await chmod(listen.path, 0o600);
  const bound = server.address();
  return {
    address:
      listen.kind === 'tcp' && typeof bound === 'object' && bound ? { ...listen, port: bound.port } : listen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
