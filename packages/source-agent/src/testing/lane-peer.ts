import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Init, LaneKind } from '@umem/api';
import {
  BACKGROUND_CHANNEL,
  isServiceError,
  LaneClient,
  PageEncoding,
  toBlockMessages,
  TOKEN_KEY,
  type IncomingReply,
  type LaneStream,
  type UmemRequest,
} from '@umem/api';
import { TARGET_PAGE_SIZE, type RamBlock } from '@umem/ram';

/** As a page server's, but a busy test machine shall not look like a dead peer. */
const CHANNEL = { ...BACKGROUND_CHANNEL, 'grpc.keepalive_time_ms': 60_000 };

/** How a lane ended. */
export interface LaneEnd {
  /** 0 is OK. */
  readonly code: number;
  readonly details: string;
}

/** One lane of a page server that does nothing but keep what it gets. */
export class LanePeer {
  /** `block/pgoff` → the last copy that came. */
  readonly pages = new Map<string, Buffer>();
  /** pgoffs of each batch, in the order of their arrival. */
  readonly batches: { blockId: string; pgoffs: number[]; bytes: number; atMs: number }[] = [];
  /** Resolves when the source accepted the lane, or it ended. */
  readonly accepted: Promise<boolean>;
  readonly eos: Promise<void>;
  readonly ended: Promise<LaneEnd>;
  eosCount = 0;
  readonly #client: LaneClient;
  readonly #stream: LaneStream;
  readonly #copies = new Map<string, number>();
  readonly #arrivals: (() => void)[] = [];

  constructor(address: string, token: string | null) {
    this.#client = new LaneClient(address, credentials.createInsecure(), CHANNEL);
    const metadata = new Metadata();
    if (token !== null) metadata.set(TOKEN_KEY, token);
    const stream = (this.#stream = this.#client.serve(metadata));
    this.ended = new Promise((resolve) => {
      stream.on('end', () => setImmediate(() => resolve({ code: 0, details: '' })));
      stream.on('error', (error: Error) => resolve(toEnd(error)));
    });
    let onEos = (): void => {};
    this.eos = new Promise((resolve) => (onEos = resolve));
    this.accepted = new Promise((resolve) => {
      stream.on('metadata', () => resolve(true));
      void this.ended.then(() => resolve(false));
    });
    stream.on('data', (reply: IncomingReply) => {
      if ('malformed' in reply) throw new Error(reply.malformed);
      if (reply.reply?.$case === 'eos') {
        this.eosCount++;
        onEos();
      } else this.#keep(reply);
      for (const arrived of this.#arrivals.splice(0)) arrived();
    });
  }

  send(command: NonNullable<UmemRequest['command']>): void {
    this.#stream.write({ command });
  }

  sendRaw(message: UmemRequest): void {
    this.#stream.write(message);
  }

  init(migrationId: string, laneKind: LaneKind, blocks: readonly RamBlock[], more: Partial<Init> = {}): void {
    const init = {
      migrationId,
      laneKind,
      targetPageSizeBytes: TARGET_PAGE_SIZE,
      blocks: toBlockMessages(blocks),
    };
    this.send({ $case: 'init', value: { received: [], generation: 1n, ...init, ...more } });
  }

  demand(blockId: string, pgoffs: number[]): void {
    this.send({ $case: 'onDemand', value: { blockId, pgoffs } });
  }

  background(blockId: string, pgoffs: number[]): void {
    this.send({ $case: 'background', value: { blockId, pgoffs } });
  }

  remove(blockId: string, pgoffs: number[]): void {
    this.send({ $case: 'remove', value: { blockId, pgoffs } });
  }

  placed(blockId: string, ...ranges: [pgoff: number, pageCount: number][]): void {
    const value = { blockId, ranges: ranges.map(([pgoff, pageCount]) => ({ pgoff, pageCount })) };
    this.send({ $case: 'placed', value });
  }

  eoc(): void {
    this.send({ $case: 'eoc', value: {} });
  }

  halfClose(): void {
    this.#stream.end();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** The last copy of a page. */
  get(blockId: string, pgoff: number): Buffer | undefined {
    return this.pages.get(`${blockId}/${pgoff}`);
  }

  copies(blockId: string, pgoff: number): number {
    return this.#copies.get(`${blockId}/${pgoff}`) ?? 0;
  }

  /** Resolves when `condition` holds, looked at after each reply; rejects when the lane ends before. */
  async until(condition: () => boolean): Promise<void> {
    const ended = this.ended.then(({ details }) => {
      if (!condition()) throw new Error(`The lane ended: ${details}`);
    });
    while (!condition())
      await Promise.race([ended, new Promise<void>((resolve) => this.#arrivals.push(resolve))]);
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #keep(reply: Exclude<IncomingReply, { malformed: string }>): void {
    if (reply.reply?.$case !== 'pages') throw new Error('The reply is not set');
    const { blockId, runs, data } = reply.reply.value;
    const pgoffs: number[] = [];
    let at = 0;
    for (const { pgoff, pageCount, encoding, fillValue } of runs) {
      for (let page = pgoff; page < pgoff + pageCount; page++) {
        const raw = encoding === PageEncoding.RAW;
        const bytes = raw
          ? Buffer.from(data.subarray(at, at + TARGET_PAGE_SIZE))
          : Buffer.alloc(TARGET_PAGE_SIZE, fillValue);
        if (raw) at += TARGET_PAGE_SIZE;
        const key = `${blockId}/${page}`;
        this.pages.set(key, bytes);
        this.#copies.set(key, (this.#copies.get(key) ?? 0) + 1);
        pgoffs.push(page);
      }
    }
    if (at !== data.length) throw new Error(`The runs need ${at} bytes and ${data.length} came`);
    this.batches.push({ blockId, pgoffs, bytes: reply.messageBytes, atMs: performance.now() });
  }
}

function toEnd(error: Error): LaneEnd {
  if (!isServiceError(error)) throw error;
  const { code, details }: ServiceError = error;
  return { code, details };
}
