import {
  Metadata,
  status as Status,
  type ChannelOptions,
  type ClientDuplexStream,
  type StatusObject,
} from '@grpc/grpc-js';
import { WireClient } from '../wire/client.js';
import type { UmemReplyMessage } from '../wire/messages.js';
import { readBatch } from '../wire/read-batch.js';

export interface LaneSettings {
  readonly address: string;
  /** Null: no metadata at all. */
  readonly token: string | null;
  /** Pages of each block, to check batches by. */
  readonly pageCounts: ReadonlyMap<string, number>;
  readonly channel?: ChannelOptions;
}

/** A page by block and offset. */
export type PageKey = `${string}:${number}`;

export function pageKey(blockId: string, pgoff: number): PageKey {
  return `${blockId}:${pgoff}`;
}

/** A lane as a page server holds it, played by the suite. Every batch is held against the rules for one. */
export class Lane {
  /** Pages that have arrived, with the bytes that came last. */
  readonly pages = new Map<PageKey, Buffer>();
  /** Every page that arrived, also again, in order. */
  readonly arrivals: PageKey[] = [];
  /** How many EOS have come, and how many pages had come before the first. */
  eosCount = 0;
  pagesBeforeEos = -1;
  /** Null when the source has accepted the lane, its status when it refused. */
  readonly accepted: Promise<StatusObject | null>;
  readonly ended: Promise<StatusObject>;
  readonly #client: WireClient;
  readonly #stream: ClientDuplexStream<object | Buffer, UmemReplyMessage>;
  readonly #settings: LaneSettings;
  readonly #watchers = new Set<() => void>();
  #problem: Error | null = null;
  #status: StatusObject | null = null;

  constructor(settings: LaneSettings) {
    this.#settings = settings;
    this.#client = new WireClient(settings.address, settings.channel);
    const metadata = new Metadata();
    if (settings.token !== null) metadata.set('umem-token', settings.token);
    this.#stream = this.#client.stream<UmemReplyMessage>('PageSource', 'Serve', metadata);
    this.ended = new Promise((resolve) => {
      this.#stream.on('status', (status) => {
        this.#status = status;
        resolve(status);
        this.#client.close();
        this.#look();
      });
    });
    this.accepted = Promise.race([
      new Promise<null>((resolve) => this.#stream.once('metadata', () => resolve(null))),
      this.ended,
    ]);
    // The status says it, too.
    this.#stream.on('error', () => undefined);
    this.#stream.on('data', (reply: UmemReplyMessage) => this.#take(reply));
  }

  /** Null while it is open. */
  get status(): StatusObject | null {
    return this.#status;
  }

  /** Sends a UmemRequest, or bytes in its place. False when the stream would rather wait. */
  send(request: object | Buffer): boolean {
    return this.#stream.write(request);
  }

  /** ON_DEMAND; resolves with the pages, in the order asked for. */
  async pull(blockId: string, pgoffs: readonly number[]): Promise<Buffer[]> {
    this.send({ on_demand: { block_id: blockId, pgoffs } });
    await this.until(`pages ${pgoffs[0]}… of ${blockId}`, () =>
      pgoffs.every((pgoff) => this.pages.has(pageKey(blockId, pgoff))),
    );
    return pgoffs.map((pgoff) => this.pages.get(pageKey(blockId, pgoff)) ?? Buffer.of());
  }

  /** Asks for a page and waits until it comes, again if it has come before: all that was sent before was handled. */
  async barrier(blockId: string, pgoff: number): Promise<void> {
    const key = pageKey(blockId, pgoff);
    this.pages.delete(key);
    await this.pull(blockId, [pgoff]);
  }

  /** Resolves when `condition` holds; rejects when the lane ends before that, or sends a bad batch. */
  until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const over = this.#problem !== null || condition() || this.#status !== null;
        if (!over) return;
        this.#watchers.delete(look);
        if (this.#problem !== null) reject(this.#problem);
        else if (condition()) resolve();
        else reject(new Error(`The lane ended before ${what}: ${describe(this.#status)}`));
      };
      this.#watchers.add(look);
      look();
    });
  }

  eos(): Promise<void> {
    return this.until('EOS', () => this.eosCount > 0);
  }

  /** Sends EOC and waits for the end. */
  async finish(): Promise<StatusObject> {
    this.send({ eoc: {} });
    this.halfClose();
    return this.ended;
  }

  halfClose(): void {
    this.#stream.end();
  }

  /** Ends the lane from this side, without a word. Idempotent. */
  cancel(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  /** Throws what was wrong with a batch, when one was. */
  checkBatches(): void {
    if (this.#problem !== null) throw this.#problem;
  }

  #take(reply: UmemReplyMessage): void {
    try {
      if (reply.reply === 'eos') {
        if (this.eosCount++ === 0) this.pagesBeforeEos = this.arrivals.length;
      } else if (reply.pages) {
        const { block_id: blockId } = reply.pages;
        for (const { pgoff, bytes } of readBatch(reply.pages, this.#settings.pageCounts)) {
          this.arrivals.push(pageKey(blockId, pgoff));
          this.pages.set(pageKey(blockId, pgoff), bytes);
        }
      } else throw new Error('a reply that is neither pages nor eos');
    } catch (cause) {
      this.#problem ??= new Error(
        `The source sent ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
      this.cancel();
    }
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#watchers]) look();
  }
}

/** A status for a person. */
export function describe(status: StatusObject | null): string {
  return status === null ? 'accepted' : `${Status[status.code]} "${status.details}"`;
}
