import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import { pageKey, type PageKey } from '../source/lane.js';
import type {
  InitMessage,
  PageBatchMessage,
  UmemReplyMessage,
  UmemRequestMessage,
} from '../wire/messages.js';
import { MAX_PGOFFS } from '../wire/read-batch.js';
import { Changes } from './changes.js';
import type { GuestRam } from './guest-ram.js';

export type ServeCall = ServerDuplexStream<UmemRequestMessage, UmemReplyMessage | Buffer>;

/** A lane as a source holds it, played by the suite. Every request is held against the rules for one. */
export class PlayedLane {
  readonly init: InitMessage;
  readonly token: string;
  /** Address of the other end. */
  readonly peer: string;
  readonly changes = new Changes();
  /** Commands after INIT, in order. */
  readonly commands: string[] = [];
  /** Pages asked for by ON_DEMAND and by BACKGROUND with their continuations, in order; and given up by REMOVE. */
  readonly demanded: PageKey[] = [];
  readonly wanted: PageKey[] = [];
  readonly removed: PageKey[] = [];
  /** Pages that `placed` has confirmed, in order. */
  readonly confirmed: PageKey[] = [];
  /** What was wrong with a request. */
  problem: string | null = null;
  isHalfClosed = false;
  isOver = false;
  readonly #call: ServeCall;
  readonly #ram: GuestRam;
  #block = '';

  constructor(call: ServeCall, init: InitMessage, ram: GuestRam) {
    this.#call = call;
    this.init = init;
    this.#ram = ram;
    const [token] = call.metadata.get('umem-token');
    this.peer = call.getPeer();
    this.token = typeof token === 'string' ? token : '';
    const over = (): void => {
      this.isOver = true;
      this.changes.tell();
    };
    call.on('cancelled', over);
    call.on('error', over);
    call.on('close', over);
    call.on('end', () => {
      this.isHalfClosed = true;
      this.changes.tell();
    });
  }

  get isDemand(): boolean {
    return this.init.lane_kind === 'LANE_KIND_DEMAND';
  }

  get hasEoc(): boolean {
    return this.commands.includes('eoc');
  }

  accept(): void {
    this.#call.sendMetadata(new Metadata());
  }

  /** Sends a UmemReply, or bytes in its place; resolves when the network has taken it. */
  send(reply: object | Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.isOver) return reject(new Error('The lane is over'));
      this.#call.write(reply, (error?: Error | null) => (error ? reject(error) : resolve()));
    });
  }

  batch(batch: PageBatchMessage | object): Promise<void> {
    return this.send({ pages: batch });
  }

  /** Pages as the guest has them. */
  pages(blockId: string, pgoffs: readonly number[]): Promise<void> {
    return this.batch(this.#ram.batch(blockId, pgoffs));
  }

  eos(): Promise<void> {
    return this.send({ eos: {} });
  }

  /** Ends it with a status. */
  fail(code: number, details: string): void {
    this.#call.emit('error', Object.assign(new Error(details), { code, details }));
  }

  /** Ends it with OK. */
  end(): void {
    this.#call.end();
  }

  until(what: string, condition: () => boolean): Promise<true> {
    return this.changes.until(what, () => {
      if (this.problem !== null) throw new Error(`umemd sent ${this.problem}`);
      if (condition()) return true;
      if (this.isOver) throw new Error(`The lane ended before ${what}`);
      return null;
    });
  }

  /** Takes a request down; what is wrong with it is kept. */
  take(request: UmemRequestMessage): void {
    const before = this.commands.at(-1);
    this.commands.push(request.command ?? 'unset');
    this.problem ??= this.#check(request, before);
    this.changes.tell();
  }

  #check(request: UmemRequestMessage, before: string | undefined): string | null {
    if (this.commands.filter((command) => command === 'eoc').length > 1 || before === 'eoc')
      return 'a request after EOC';
    switch (request.command) {
      case 'on_demand':
      case 'background':
      case 'remove': {
        const list = request[request.command];
        this.#block = list?.block_id ?? '';
        return this.#note(request.command, list?.pgoffs ?? []);
      }
      case 'on_demand_cont':
      case 'background_cont': {
        const continued = request.command === 'on_demand_cont' ? 'on_demand' : 'background';
        if (before !== continued && before !== request.command)
          return `${request.command} after ${before ?? 'INIT'}`;
        return this.#note(continued, request[request.command]?.pgoffs ?? []);
      }
      case 'placed':
        return this.#confirm(request.placed);
      case 'eoc':
        return null;
      case 'init':
        return 'a second INIT';
      default:
        return 'a request without a command';
    }
  }

  #confirm(placed: UmemRequestMessage['placed']): string | null {
    const { block_id: blockId = '', ranges = [] } = placed ?? {};
    if (!this.#ram.blocks.has(blockId)) return `placed of block "${blockId}"`;
    if (ranges.length < 1 || ranges.length > MAX_PGOFFS) return `placed of ${ranges.length} ranges`;
    const pages = this.#ram.pageCount(blockId);
    for (const { pgoff, page_count: count } of ranges) {
      if (count < 1 || pgoff + count > pages)
        return `placed of ${count} pages from page ${pgoff} of ${pages}`;
      for (let page = pgoff; page < pgoff + count; page++) this.confirmed.push(pageKey(blockId, page));
    }
    return null;
  }

  #note(command: 'on_demand' | 'background' | 'remove', pgoffs: readonly number[]): string | null {
    if (!this.#ram.blocks.has(this.#block)) return `${command} of block "${this.#block}"`;
    if (pgoffs.length < 1 || pgoffs.length > MAX_PGOFFS) return `${command} of ${pgoffs.length} pages`;
    const pages = this.#ram.pageCount(this.#block);
    const outside = pgoffs.find((pgoff) => pgoff >= pages);
    if (outside !== undefined) return `${command} of page ${outside} of ${pages}`;
    const list = { on_demand: this.demanded, background: this.wanted, remove: this.removed }[command];
    list.push(...pgoffs.map((pgoff) => pageKey(this.#block, pgoff)));
    return null;
  }
}
