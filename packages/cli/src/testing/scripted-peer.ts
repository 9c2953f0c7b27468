import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServiceDefinition, type UntypedHandleCall } from '@grpc/grpc-js';

/** A service with the handlers that a test gives it; the others answer UNIMPLEMENTED. */
export interface ScriptedService {
  readonly definition: ServiceDefinition;
  readonly handlers: object;
}

/** A real gRPC server on a Unix socket, which can die and come back under the same address. */
export class ScriptedPeer {
  #server: Server | null = null;

  private constructor(
    private readonly folder: string,
    private readonly services: readonly ScriptedService[],
  ) {}

  static async start(...services: ScriptedService[]): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer(await mkdtemp(join(tmpdir(), 'umemctl-')), services);
    await peer.comeBack();
    return peer;
  }

  get address(): string {
    return `unix:${join(this.folder, 'peer.sock')}`;
  }

  /** Breaks every connection at once, like a process that was killed. */
  die(): void {
    this.#server?.forceShutdown();
    this.#server = null;
  }

  comeBack(): Promise<void> {
    const server = new Server();
    for (const { definition, handlers } of this.services)
      server.addService(definition, handlers as Record<string, UntypedHandleCall>);
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.bindAsync(this.address, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  stop(): void {
    this.die();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
