import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as dial } from 'node:net';
import { check } from '../rule.js';
import { methodOf } from '../wire/definitions.js';

/**
 * A lane that sends but never reads a reply, below gRPC: its stream's window fills and stays full, while
 * the connection goes on. (A grpc-js client reads what comes whether anybody takes it or not.)
 */
export class StalledLane {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #accepted: Promise<void>;

  constructor(address: string, token: string) {
    const isUnix = address.startsWith('unix:');
    this.#session = connect(
      isUnix ? 'http://localhost' : `http://${address}`,
      isUnix ? { createConnection: () => dial(address.slice('unix:'.length)) } : {},
    );
    this.#stream = this.#session.request({
      ':method': 'POST',
      ':path': methodOf('PageSource', 'Serve').path,
      'content-type': 'application/grpc',
      te: 'trailers',
      'umem-token': token,
    });
    this.#accepted = new Promise((resolve, reject) => {
      this.#stream.once('response', (headers) => {
        const status = headers['grpc-status'];
        if (status === undefined) resolve();
        else reject(new Error(`The lane was refused: ${String(status)} ${String(headers['grpc-message'])}`));
      });
      this.#stream.once('error', reject);
      this.#session.once('error', reject);
    });
  }

  /** Sends a UmemRequest; resolves when the source's window has taken it. */
  send(request: object): Promise<void> {
    const message = methodOf('PageSource', 'Serve').requestSerialize(request);
    const frame = Buffer.alloc(5 + message.length);
    frame.writeUInt32BE(message.length, 1);
    message.copy(frame, 5);
    return new Promise((resolve, reject) => {
      this.#stream.write(frame, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Sends INIT, which the source must accept. */
  async open(init: object): Promise<void> {
    await this.send(init);
    await this.#accepted;
    check(!this.#stream.closed, 'The lane was accepted and closed');
  }

  close(): void {
    this.#stream.destroy();
    this.#session.destroy();
  }
}
