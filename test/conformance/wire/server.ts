import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { serviceOf } from './definitions.js';

/** A service of proto/ whose answers may be bytes that go out as they are. */
function withRawAnswers(service: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(service).map(([name, method]) => [
      name,
      {
        ...method,
        responseSerialize: (message: object): Buffer =>
          Buffer.isBuffer(message) ? message : method.responseSerialize(message),
      },
    ]),
  );
}

/** A server of one service of proto/, played by the suite. */
export class WireServer {
  readonly address: string;
  readonly #server: Server;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** `listen`: host:port, port 0 for a free one. */
  static async start(
    service: string,
    implementation: UntypedServiceImplementation,
    listen = '127.0.0.1:0',
  ): Promise<WireServer> {
    const server = new Server({
      'grpc.max_receive_message_length': 64 << 20,
      'grpc.max_send_message_length': 64 << 20,
    });
    server.addService(withRawAnswers(serviceOf(service)), implementation);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(listen, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return new WireServer(server, `${listen.slice(0, listen.lastIndexOf(':'))}:${port}`);
  }

  /** Cuts every connection, as the death of a process does. */
  kill(): void {
    this.#server.forceShutdown();
  }
}
