import { status as Status } from '@grpc/grpc-js';
import { check } from '../rule.js';
import { pageKey, type PageKey } from '../source/lane.js';
import type { UmemRequestMessage } from '../wire/messages.js';
import { WireServer } from '../wire/server.js';
import { Changes } from './changes.js';
import type { GuestRam } from './guest-ram.js';
import { PlayedLane, type ServeCall } from './played-lane.js';

/** What becomes of a lane whose INIT has come. */
export type Verdict = 'accept' | 'silence' | { readonly code: Status; readonly details: string };

/** A source, played by the suite: it serves known bytes, and misbehaves when a rule wants it to. */
export class PlayedSource {
  readonly ram: GuestRam;
  readonly changes = new Changes();
  /** Every lane that was accepted, in order. */
  readonly lanes: PlayedLane[] = [];
  /** INIT is answered so. */
  verdict: (lane: PlayedLane) => Verdict = () => 'accept';
  /** Pages are sent as soon as they are demanded. */
  answersDemand = true;
  /** Lanes end with OK when EOC has come. */
  answersEoc = true;
  /** Lanes whose INIT was not answered. */
  readonly #silent: PlayedLane[] = [];
  #server: WireServer | null = null;
  #address = '';

  constructor(ram: GuestRam) {
    this.ram = ram;
  }

  get address(): string {
    return this.#address;
  }

  /** Listens, after `kill` on the same address again. */
  async start(): Promise<void> {
    const listen = this.#address === '' ? '127.0.0.1:0' : this.#address;
    this.#server = await WireServer.start(
      'PageSource',
      { Serve: (call: ServeCall) => this.#open(call) },
      listen,
    );
    this.#address = this.#server.address;
  }

  /** Cuts every lane and listens no more. */
  kill(): void {
    this.#server?.kill();
  }

  /** A lane whose INIT has come and was not answered. */
  silent(): Promise<PlayedLane> {
    return this.changes.until('INIT of a lane that is not answered', () => this.#silent[0] ?? null);
  }

  /** The accepted lanes of one connection, when all `count` are there. */
  connection(generation: number, count: number): Promise<PlayedLane[]> {
    return this.changes.until(`${count} lanes of connection ${generation}`, () => {
      const lanes = this.lanes.filter(({ init }) => Number(init.generation) === generation);
      return lanes.length >= count ? lanes : null;
    });
  }

  /** The lanes of the next connection after this one. */
  after(generation: number, count: number): Promise<PlayedLane[]> {
    return this.changes.until(`${count} lanes of a connection after ${generation}`, () => {
      const newest = Math.max(...this.lanes.map(({ init }) => Number(init.generation)));
      const lanes = this.lanes.filter(({ init }) => Number(init.generation) === newest);
      return newest > generation && lanes.length >= count ? lanes : null;
    });
  }

  /** Throws when umemd has broken a rule for requests on any lane. `confirms`: it was to confirm pages. */
  checkRequests(confirms: boolean): void {
    for (const { problem } of this.lanes) check(problem === null, `umemd sent ${problem}`);
    const unasked = this.lanes.find(({ confirmed }) => confirmed.length > 0 && !confirms);
    check(unasked === undefined, `umemd confirmed pages although ConnectUmem did not ask for it`);
    const asked = new Map<string, Set<PageKey>>();
    for (const { init, demanded, wanted } of this.lanes) {
      const pages = asked.get(init.generation) ?? new Set<PageKey>();
      asked.set(init.generation, pages);
      for (const key of [...demanded, ...wanted]) {
        check(!pages.has(key), `umemd asked for page ${key} twice over connection ${init.generation}`);
        pages.add(key);
      }
    }
  }

  #open(call: ServeCall): void {
    let lane: PlayedLane | null = null;
    call.on('data', (request: UmemRequestMessage) => {
      if (lane === null) lane = this.#begin(call, request);
      else {
        const asked = lane.demanded.length;
        lane.take(request);
        if (this.answersDemand) this.#answer(lane, lane.demanded.slice(asked));
        if (request.command === 'eoc' && this.answersEoc) lane.end();
        this.changes.tell();
      }
    });
    // A lane that is cut has nothing to say.
    call.on('error', () => undefined);
  }

  #begin(call: ServeCall, request: UmemRequestMessage): PlayedLane | null {
    const { init } = request;
    if (request.command !== 'init' || !init) {
      call.emit('error', Object.assign(new Error('INIT comes first'), { code: Status.INVALID_ARGUMENT }));
      return null;
    }
    const lane = new PlayedLane(call, init, this.ram);
    const verdict = this.verdict(lane);
    if (verdict === 'accept') {
      lane.accept();
      this.lanes.push(lane);
    } else if (verdict === 'silence') this.#silent.push(lane);
    else lane.fail(verdict.code, verdict.details);
    this.changes.tell();
    return lane;
  }

  #answer(lane: PlayedLane, keys: readonly PageKey[]): void {
    for (const key of keys) {
      const at = key.lastIndexOf(':');
      // A lane that is cut meanwhile needs no answer.
      lane.pages(key.slice(0, at), [Number(key.slice(at + 1))]).catch(() => undefined);
    }
  }
}

/** Every page of a block but these. */
export function pagesBut(ram: GuestRam, blockId: string, without: ReadonlySet<PageKey>): number[] {
  return Array.from({ length: ram.pageCount(blockId) }, (_, pgoff) => pgoff).filter(
    (pgoff) => !without.has(pageKey(blockId, pgoff)),
  );
}
