import { Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  PageEncoding,
  PageSourceService,
  SERVER,
  type Init,
  type LaneKind,
  type PageRun,
  type UmemReply,
  type UmemRequest,
} from '@umem/api';
import { EventEmitter, once } from 'node:events';

const PAGE = 4096;

/** A byte pattern that tells every page of every block apart; every eighth page is zeros, every ninth all one value. */
export function makeRam(bytes: number, seed: number): Buffer {
  const ram = Buffer.alloc(bytes);
  const words = new Uint32Array(ram.buffer, ram.byteOffset, bytes / 4);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 2654435761) ^ Math.imul(seed, 40503);
  for (let page = 0; page < bytes / PAGE; page++) {
    if (page % 8 === 7) ram.fill(0, page * PAGE, (page + 1) * PAGE);
    else if (page % 9 === 5) ram.fill((page % 255) | 1, page * PAGE, (page + 1) * PAGE);
  }
  return ram;
}

type Stream = ServerDuplexStream<UmemRequest, UmemReply>;

/** A lane as the test's source holds it. */
export class SourceLane {
  /** Requests after INIT, in order. */
  readonly requests: NonNullable<UmemRequest['command']>[] = [];
  readonly changed = new EventEmitter();
  ended = false;
  /** Block that a _CONT continues. */
  block = '';

  constructor(
    readonly stream: Stream,
    readonly init: Init,
    readonly token: string,
  ) {}

  /** Pages asked for by ON_DEMAND so far, as "block:pgoff". */
  get demanded(): string[] {
    return this.requests.flatMap((request) =>
      request.$case === 'onDemand'
        ? request.value.pgoffs.map((pgoff) => `${request.value.blockId}:${pgoff}`)
        : [],
    );
  }

  reply(reply: NonNullable<UmemReply['reply']>): boolean {
    return this.stream.write({ reply });
  }

  /** Sends a batch as it is, good or bad. */
  batch(blockId: string, runs: Partial<PageRun>[], data: Buffer): boolean {
    const filled = runs.map((run) => ({
      pgoff: 0,
      pageCount: 1,
      encoding: PageEncoding.RAW,
      fillValue: 0,
      ...run,
    }));
    return this.reply({ $case: 'pages', value: { blockId, runs: filled, data } });
  }

  eos(): void {
    this.reply({ $case: 'eos', value: {} });
  }

  /** Ends the lane with a status. */
  end(code: number, details: string): void {
    this.stream.emit('error', Object.assign(new Error(details), { code, details }));
  }

  /** Resolves when `condition` holds, looked at after each request and at the lane's end. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.changed, 'change');
  }
}

/** How a test's source behaves; every hook may be replaced while it runs. */
export interface Behaviour {
  /** Accepts or refuses INIT; false: no answer at all. */
  accept: (lane: SourceLane) => boolean | { code: number; details: string };
  /** Answers ON_DEMAND by itself. */
  answerDemand: boolean;
  /** Ends lanes with OK when EOC comes. */
  answerEoc: boolean;
}

/** A small `PageSource`, written from the generated service, that serves known bytes and misbehaves on demand. */
export class TestSource {
  readonly lanes: SourceLane[] = [];
  readonly changed = new EventEmitter();
  readonly behaviour: Behaviour = { accept: () => true, answerDemand: true, answerEoc: true };
  readonly #server: Server;
  address = '';
  /** Answers BACKGROUND by itself. */
  answerBackground = false;
  /** Called for each lane that is accepted. */
  opened: (lane: SourceLane) => void = () => {};

  constructor(readonly ram: ReadonlyMap<string, Buffer>) {
    this.#server = this.#create();
  }

  /** Serves at `address`, or at a free port. */
  async start(address = '127.0.0.1:0'): Promise<this> {
    const port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    this.address = `127.0.0.1:${port}`;
    return this;
  }

  /** Cuts every connection, as a dying process does. */
  kill(): void {
    this.#server.forceShutdown();
  }

  /** The `count`-th lane of a kind, counted from 1 over all generations, once it is accepted. */
  async lane(kind: LaneKind, count = 1): Promise<SourceLane> {
    for (;;) {
      const lane = this.lanes.filter(({ init }) => init.laneKind === kind)[count - 1];
      if (lane) return lane;
      await once(this.changed, 'lane');
    }
  }

  /** Sends pages of a block over a lane, zeros and constant pages as FILL. */
  sendPages(lane: SourceLane, blockId: string, first: number, count: number): boolean {
    const ram = this.#ramOf(blockId);
    const runs: PageRun[] = [];
    const data: Buffer[] = [];
    for (let page = first; page < first + count; page++) {
      const bytes = ram.subarray(page * PAGE, (page + 1) * PAGE);
      const value = bytes[0] ?? 0;
      const constant = bytes.every((byte) => byte === value);
      if (!constant) data.push(bytes);
      const encoding = constant ? PageEncoding.FILL : PageEncoding.RAW;
      const fillValue = constant ? value : 0;
      const last = runs.at(-1);
      if (last && last.encoding === encoding && last.fillValue === fillValue) last.pageCount++;
      else runs.push({ pgoff: page, pageCount: 1, encoding, fillValue });
    }
    return lane.batch(blockId, runs, Buffer.concat(data));
  }

  /** Pushes every page of every block over a lane in batches, except those it was told to keep back; then EOS. */
  async push(
    lane: SourceLane,
    options: { keep?: (blockId: string, page: number) => boolean; batchPages?: number } = {},
  ): Promise<void> {
    const { keep = () => false, batchPages = 64 } = options;
    for (const [blockId, ram] of this.ram) {
      const pages = ram.length / PAGE;
      for (let first = 0; first < pages && !lane.ended;) {
        let count = 0;
        while (count < batchPages && first + count < pages && !keep(blockId, first + count)) count++;
        if (count === 0) first++;
        else if (!this.sendPages(lane, blockId, first, count)) await once(lane.stream, 'drain');
        first += count;
      }
    }
    if (!lane.ended) lane.eos();
  }

  #create(): Server {
    const server = new Server(SERVER);
    server.addService(PageSourceService, {
      serve: (stream: Stream) =>
        stream.once('data', (first: UmemRequest) => this.#open(stream, first, stream.metadata)),
    });
    return server;
  }

  #open(stream: Stream, first: UmemRequest, metadata: Metadata): void {
    if (first.command?.$case !== 'init') throw new Error('The first request is not INIT');
    const lane = new SourceLane(stream, first.command.value, String(metadata.get('umem-token')[0]));
    const over = (): void => {
      lane.ended = true;
      lane.changed.emit('change');
      stream.emit('drain');
    };
    stream.on('cancelled', over);
    stream.on('error', over);
    stream.on('end', over);
    stream.on('data', (request: UmemRequest) => this.#take(lane, request));
    const verdict = this.behaviour.accept(lane);
    if (verdict === false) return;
    if (verdict !== true) return lane.end(verdict.code, verdict.details);
    stream.sendMetadata(new Metadata());
    this.lanes.push(lane);
    this.changed.emit('lane');
    this.opened(lane);
  }

  #take(lane: SourceLane, { command }: UmemRequest): void {
    if (!command) throw new Error('A request without command');
    lane.requests.push(command);
    if (command.$case === 'onDemand' || command.$case === 'background') lane.block = command.value.blockId;
    if (this.behaviour.answerDemand && (command.$case === 'onDemand' || command.$case === 'onDemandCont'))
      for (const pgoff of command.value.pgoffs) this.sendPages(lane, lane.block, pgoff, 1);
    if (this.answerBackground && (command.$case === 'background' || command.$case === 'backgroundCont'))
      for (const pgoff of command.value.pgoffs) this.sendPages(lane, lane.block, pgoff, 1);
    if (command.$case === 'eoc' && this.behaviour.answerEoc) lane.stream.end();
    lane.changed.emit('change');
  }

  #ramOf(blockId: string): Buffer {
    const ram = this.ram.get(blockId);
    if (!ram) throw new Error(`No block ${blockId}`);
    return ram;
  }
}
