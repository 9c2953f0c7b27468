import { Metadata, status as Status, type StatusObject } from '@grpc/grpc-js';
import { ForeignClient } from './foreign-client.js';

/** A `UmemReply` as proto/ describes it. */
interface Reply {
  readonly reply?: 'pages' | 'eos';
  readonly pages?: {
    readonly block_id: string;
    readonly runs: readonly {
      readonly pgoff: number;
      readonly page_count: number;
      readonly encoding: string;
      readonly fill_value: number;
    }[];
    readonly data: Buffer;
  } | null;
}

const PAGE_BYTES = 4096;

/** A lane of a page server that somebody else wrote. */
export class ForeignLane {
  /** Pages that arrived, by `block:pgoff`. */
  readonly pages = new Map<string, Buffer>();
  /** Settles when the source accepted the lane, or with its status when it did not. */
  readonly accepted: Promise<StatusObject | null>;
  /** How the lane ended. */
  readonly ended: Promise<StatusObject>;
  readonly #client: ForeignClient;
  readonly #stream: ReturnType<ForeignClient['stream']>;
  readonly #waiting = new Set<() => void>();

  /** Opens a stream; `token` null sends none. */
  constructor(address: string, token: string | null) {
    const metadata = new Metadata();
    if (token !== null) metadata.set('umem-token', token);
    this.#client = new ForeignClient(address);
    this.#stream = this.#client.stream('PageSource', 'Serve', metadata);
    this.ended = new Promise((resolve) => {
      this.#stream.on('status', (status) => {
        resolve(status);
        this.#client.close();
        for (const look of this.#waiting) look();
      });
    });
    this.accepted = Promise.race([
      new Promise<null>((resolve) => this.#stream.once('metadata', () => resolve(null))),
      this.ended,
    ]);
    // The status says it, too.
    this.#stream.on('error', () => undefined);
    this.#stream.on('data', (reply: Reply) => this.#take(reply));
  }

  /** Sends a message of type UmemRequest, or bytes that should be one. */
  send(request: object | Buffer): void {
    this.#stream.write(request);
  }

  /** Asks for pages on demand and waits for all of them. */
  async pull(blockId: string, pgoffs: readonly number[]): Promise<Buffer[]> {
    this.send({ on_demand: { block_id: blockId, pgoffs } });
    return Promise.all(pgoffs.map((pgoff) => this.#page(blockId, pgoff)));
  }

  /** Ends the lane from this side. */
  close(): void {
    this.#stream.cancel();
  }

  #page(blockId: string, pgoff: number): Promise<Buffer> {
    const key = `${blockId}:${pgoff}`;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const page = this.pages.get(key);
        if (page === undefined) return;
        this.#waiting.delete(look);
        resolve(page);
      };
      this.#waiting.add(look);
      look();
      void this.ended.then(({ code, details }) => {
        reject(new Error(`The lane ended before page ${key} came: ${Status[code]} ${details}`));
      });
    });
  }

  #take({ pages }: Reply): void {
    if (pages === undefined || pages === null) return;
    let at = 0;
    for (const { pgoff, page_count: count, encoding, fill_value: value } of pages.runs) {
      for (let page = 0; page < count; page++) {
        const isRaw = encoding === 'PAGE_ENCODING_RAW';
        const bytes = isRaw ? pages.data.subarray(at, at + PAGE_BYTES) : Buffer.alloc(PAGE_BYTES, value);
        if (isRaw) at += PAGE_BYTES;
        this.pages.set(`${pages.block_id}:${pgoff + page}`, bytes);
      }
    }
    if (at !== pages.data.length) throw new Error(`${pages.data.length} bytes of data for runs of ${at}`);
    for (const look of this.#waiting) look();
  }
}
