import { closeSync, openSync, readSync } from 'node:fs';
import { EventEmitter, once } from 'node:events';
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  allocateBatchBuffer,
  HEADER_ROOM,
  LaneKind,
  LaneServerService,
  PageEncoding,
  TOKEN_KEY,
  type LaneServer,
  type Malformed,
  type UmemRequest,
} from '@umem/api';
import { pagesIn, TARGET_PAGE_SIZE, type RamBlock } from '@umem/ram';

type Call = Parameters<LaneServer['serve']>[0];

/** Pages in one background batch. */
const BATCH_PAGES = 64;

export interface ServedBlock extends RamBlock {
  readonly path: string;
}

/** A `PageSource` of one migration that serves RAM files; for tests of what uses the page server. */
export class PageSource {
  readonly #server = new Server();
  readonly #lanes = new Set<Call>();
  readonly #changes = new EventEmitter();
  readonly #token = 'dGVzdA';
  #pushing = false;
  #refusal: string | null = null;
  #eocs = 0;
  #demanded = 0;

  address = '';

  constructor(
    readonly migrationId: string,
    readonly blocks: readonly ServedBlock[],
  ) {
    this.#server.addService(LaneServerService, { serve: (lane: Call) => this.#open(lane) });
  }

  async start(): Promise<void> {
    const port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    this.address = `127.0.0.1:${port}`;
  }

  /** What ConnectIncoming takes. */
  target(backgroundLanes = 1) {
    return {
      migrationId: this.migrationId,
      token: this.#token,
      demandAddress: this.address,
      backgroundAddresses: Array.from({ length: backgroundLanes }, () => this.address),
    };
  }

  /** Pages asked for on demand. */
  get demanded(): number {
    return this.#demanded;
  }

  /** Lets background lanes send. */
  push(): void {
    this.#pushing = true;
    this.#changes.emit('change');
  }

  /** Ends every lane, and refuses new ones with these words. */
  refuse(words: string): void {
    this.#refusal = words;
    for (const lane of this.#lanes) this.#end(lane, status.UNAVAILABLE, words);
  }

  /** Resolves when a lane has got EOC. */
  async eoc(): Promise<void> {
    while (this.#eocs === 0) await once(this.#changes, 'change');
  }

  /** Breaks every lane, as a dying source does. */
  cut(): void {
    this.#server.forceShutdown();
  }

  #open(lane: Call): void {
    let block = '';
    this.#lanes.add(lane);
    lane.on('error', () => this.#lanes.delete(lane));
    lane.on('cancelled', () => this.#lanes.delete(lane));
    lane.on('data', (request: UmemRequest | Malformed) => {
      if ('malformed' in request) throw new Error(request.malformed);
      const { command } = request;
      if (command?.$case === 'init') {
        const token = lane.metadata.get(TOKEN_KEY)[0];
        if (this.#refusal !== null || token !== this.#token)
          return this.#end(lane, status.FAILED_PRECONDITION, this.#refusal ?? 'wrong token');
        lane.sendMetadata(new Metadata());
        if (command.value.laneKind === LaneKind.BACKGROUND) void this.#background(lane);
      }
      if (command?.$case === 'onDemand' || command?.$case === 'background') block = command.value.blockId;
      if (command?.$case === 'onDemand' || command?.$case === 'onDemandCont')
        for (const pgoff of command.value.pgoffs) {
          this.#demanded++;
          this.#send(lane, block, pgoff, 1);
        }
      if (command?.$case === 'eoc') {
        this.#eocs++;
        this.#changes.emit('change');
        lane.end();
      }
    });
  }

  #end(lane: Call, code: status, details: string): void {
    this.#lanes.delete(lane);
    lane.emit('error', { code, details, metadata: new Metadata() });
  }

  async #background(lane: Call): Promise<void> {
    while (!this.#pushing) await once(this.#changes, 'change');
    for (const block of this.blocks)
      for (let first = 0; first < pagesIn(block) && this.#lanes.has(lane); first += BATCH_PAGES) {
        const isRoomy = this.#send(lane, block.blockId, first, Math.min(BATCH_PAGES, pagesIn(block) - first));
        if (!isRoomy) await once(lane, 'drain');
      }
    lane.write({ eos: true });
  }

  #send(lane: Call, blockId: string, pgoff: number, pageCount: number): boolean {
    const block = this.blocks.find((candidate) => candidate.blockId === blockId);
    if (!block) throw new Error(`Unknown block ${blockId}`);
    const dataBytes = pageCount * TARGET_PAGE_SIZE;
    const buffer = allocateBatchBuffer(dataBytes);
    const fd = openSync(block.path, 'r');
    readSync(fd, buffer, HEADER_ROOM, dataBytes, pgoff * TARGET_PAGE_SIZE);
    closeSync(fd);
    const runs = [{ pgoff, pageCount, encoding: PageEncoding.RAW, fillValue: 0 } as const];
    return lane.write({ blockId, runs, buffer, dataBytes });
  }
}
