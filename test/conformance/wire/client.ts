import {
  Client,
  credentials,
  type ChannelOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { methodOf } from './definitions.js';

const CALL_TIMEOUT_MS = 60_000;

/** Every client has a connection of its own, as every lane must. */
const OPTIONS: ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': 64 << 20,
  'grpc.enable_retries': 0,
};

/** A connection to a service, by the names in proto/. */
export class WireClient {
  readonly #client: Client;

  constructor(address: string, options: ChannelOptions = {}) {
    this.#client = new Client(address, credentials.createInsecure(), { ...OPTIONS, ...options });
  }

  /** A unary call; rejects with a ServiceError. */
  call<T = object>(service: string, method: string, request: object): Promise<T> {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, method);
    const deadline = Date.now() + CALL_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer?: object): void => {
        if (error !== null) reject(error);
        else resolve((answer ?? {}) as T);
      };
      const metadata = new Metadata();
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        { deadline },
        done,
      );
    });
  }

  /** A stream of answers. */
  watch<T>(service: string, method: string, request: object): ClientReadableStream<T> {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, method);
    return this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      (bytes) => responseDeserialize(bytes) as T,
      request,
    );
  }

  /** A stream in both directions; what is written is a message, or bytes that go out as they are. */
  stream<T>(
    service: string,
    method: string,
    metadata = new Metadata(),
  ): ClientDuplexStream<object | Buffer, T> {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, method);
    return this.#client.makeBidiStreamRequest(
      path,
      (message: object | Buffer) => (Buffer.isBuffer(message) ? message : requestSerialize(message)),
      (bytes) => responseDeserialize(bytes) as T,
      metadata,
    );
  }

  close(): void {
    this.#client.close();
  }
}
