import { chmod } from 'node:fs/promises';
import { Server, ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { formatAddress, loadDescriptors, SERVER, type Address } from '@umem/api';
import { HostPrecondition, messageOf } from '@umem/errors';
import { HealthImplementation } from 'grpc-health-check';
import type { ServedService } from '../daemon.js';
import { removeStaleSocket } from './unix-socket.js';

/** Calls that one connection may have open at once. */
const MAX_CALLS_PER_CONNECTION = 256;

/** A gRPC server with health and reflection. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health = new HealthImplementation();
  /** What health knows: '' is the whole server. */
  readonly #names = [''];

  constructor(interceptors: ServerInterceptor[]) {
    this.#server = new Server({
      ...SERVER,
      'grpc.max_concurrent_streams': MAX_CALLS_PER_CONNECTION,
      // A client that vanished without closing its connection is noticed within 20 s.
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 10_000,
      interceptors,
    });
  }

  /** Once, before `listen`. */
  addServices(services: readonly ServedService[]): void {
    for (const { definition, implementation } of services)
      this.#server.addService(definition, implementation);
    // A service's full name is what stands before the method in a path: /umem.v1.Umemd/GetUmem.
    const paths = services.flatMap(({ definition }) => Object.values(definition).map(({ path }) => path));
    const served = [...new Set(paths.map((path) => path.split('/')[1] ?? ''))];
    this.#names.push(...served);
    this.setHealthy(false);
    this.#health.addToServer(this.#server);
    new ReflectionService(loadDescriptors(), { services: served }).addToServer(this.#server);
  }

  /** Binds and serves; answers with the address as bound. Throws HostPrecondition when it cannot be had. */
  async listen(address: Address): Promise<Address> {
    if (address.kind === 'unix') await removeStaleSocket(address.path);
    const port = await this.#bind(address);
    if (address.kind === 'tcp') return { ...address, port };
    // Only the owner: over a Unix socket the file's mode is all the authorization there is.
    await chmod(address.path, 0o600);
    return address;
  }

  setHealthy(healthy: boolean): void {
    for (const name of this.#names) this.#health.setStatus(name, healthy ? 'SERVING' : 'NOT_SERVING');
  }

  /** Takes no new calls and resolves when the open ones have ended. */
  drain(): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#server.tryShutdown((error) => (error ? reject(error) : resolve())),
    );
  }

  /** Breaks off all calls and lets go of the address. */
  destroy(): void {
    this.#server.forceShutdown();
  }

  #bind(address: Address): Promise<number> {
    const text = formatAddress(address);
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(text, ServerCredentials.createInsecure(), (error, port) => {
        if (error)
          reject(
            new HostPrecondition(
              `Cannot listen on ${text}: ${messageOf(error)}; stop what uses the address or choose another --listen`,
            ),
          );
        else resolve(port);
      });
    });
  }
}
