import { credentials, type ClientDuplexStream, type ClientReadableStream } from '@grpc/grpc-js';
import {
  call,
  CONTROL_CHANNEL,
  formatAddress,
  UmemdClient,
  type Address,
  type CreateUmemRequest,
  type ConnectUmemRequest,
  type Umem,
  type UmemdCommand,
  type VmmCommand,
} from '@umem/api';

/** Milliseconds between statistics of a umem set. */
const STATISTICS_INTERVAL_MS = 200;

/** It is on this host: one that has just started is found at once, and trying costs nothing. */
const CHANNEL = {
  ...CONTROL_CHANNEL,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
};

/** This host's page server. Methods reject with the classes of `@umem/errors`. */
export class PageServer {
  readonly #client: UmemdClient;
  /** Who it is, for messages. */
  readonly peer: string;

  constructor(address: Address) {
    const target = formatAddress(address);
    this.peer = `page server ${target}`;
    this.#client = new UmemdClient(target, credentials.createInsecure(), CHANNEL);
  }

  /** Names of the sets it has; also the proof that it answers. */
  async list(timeoutMs: number): Promise<Umem[]> {
    return (await call(this.#client, this.#client.listUmems, {}, { peer: this.peer, timeoutMs })).umems;
  }

  create(request: CreateUmemRequest): Promise<Umem> {
    return call(this.#client, this.#client.createUmem, request, { peer: this.peer });
  }

  /** Resolves when the source has accepted every lane. */
  connect(request: ConnectUmemRequest, timeoutMs: number, signal: AbortSignal): Promise<Umem> {
    const settings = { peer: this.peer, timeoutMs, signal };
    return call(this.#client, this.#client.connectUmem, request, settings);
  }

  get(name: string): Promise<Umem> {
    return call(this.#client, this.#client.getUmem, { name }, { peer: this.peer });
  }

  /** See Umemd.DeleteUmem for what `guestNeverRan` vouches for. */
  async delete(name: string, { guestNeverRan }: { guestNeverRan: boolean }): Promise<void> {
    await call(this.#client, this.#client.deleteUmem, { name, guestNeverRan }, { peer: this.peer });
  }

  control(): ClientDuplexStream<VmmCommand, UmemdCommand> {
    return this.#client.control();
  }

  watch(name: string): ClientReadableStream<Umem> {
    return this.#client.watchUmem({ name, intervalMs: STATISTICS_INTERVAL_MS });
  }

  close(): void {
    this.#client.close();
  }
}
