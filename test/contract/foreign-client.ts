import type { Metadata } from '@grpc/grpc-js';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { join } from 'node:path';
import { repositoryRoot } from '../kit/repository.js';

/**
 * A gRPC client that knows nothing of this project but the files below `proto/`: field names as
 * written there, 64-bit numbers as decimal strings, enum values by name.
 */
const definitions = loadSync(['umem/v1/page_source.proto', 'umem/v1/migration.proto', 'umem/v1/vm.proto'], {
  includeDirs: [join(repositoryRoot, 'proto')],
  keepCase: true,
  longs: String,
  enums: String,
  bytes: Buffer,
  oneofs: true,
  defaults: true,
});

/** A method of a service by their names in the proto files. */
export function methodOf(service: string, method: string): MethodDefinition<object, object> {
  const definition = definitions[`umem.v1.${service}`] as ServiceDefinition | undefined;
  const found = definition?.[method];
  if (found === undefined) throw new Error(`proto/ has no ${service}.${method}`);
  return found;
}

/** A connection to a service. */
export class ForeignClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  }

  /** A unary call; rejects with a ServiceError. */
  call(service: string, method: string, request: object): Promise<object> {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, method);
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer?: object): void => {
        if (error !== null) reject(error);
        else resolve(answer ?? {});
      };
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, done);
    });
  }

  /** A stream in both directions; what is written may be a message or its bytes. */
  stream(service: string, method: string, metadata: Metadata) {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, method);
    const serialize = (message: object | Buffer): Buffer =>
      Buffer.isBuffer(message) ? message : requestSerialize(message);
    return this.#client.makeBidiStreamRequest(path, serialize, responseDeserialize, metadata);
  }

  close(): void {
    this.#client.close();
  }
}
