import { mkdir, open, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { preloadLibraryPath } from '@umem/native';
import { check, checkSame } from '../rule.js';
import { untilTrue } from '../waits.js';
import { pageKey, type PageKey } from '../source/lane.js';
import type { WireClient } from '../wire/client.js';
import type { LaneTargetMessage, TransferStatsMessage, UmemMessage } from '../wire/messages.js';
import { PAGE_BYTES } from '../wire/read-batch.js';
import { Control } from './control.js';
import { GuestRam } from './guest-ram.js';
import type { PlayedLane } from './played-lane.js';
import { pagesBut, PlayedSource } from './played-source.js';
import { FEATURES, Vmm } from './vmm.js';

export interface SetOptions {
  /** Pages of each block; default ram0 of 512 and ram1 of 253. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Default 1. */
  readonly backgroundLanes?: number;
  /** How the VMM hands over: through the real preload library, or by itself in the same words. Default 'itself'. */
  readonly handoff?: 'itself' | 'preload';
  /** Names of enum Placement. Default: unset, which is COPY. */
  readonly placement?: 'PLACEMENT_COPY' | 'PLACEMENT_CACHE';
  /** Default 0. */
  readonly postcopyFlags?: number;
  /** Of ConnectUmem. Default false. */
  readonly confirmPlaced?: boolean;
  /** Features of the VMM's userfaultfds; default those of the preload library. */
  readonly features?: number;
  /** A folder on hugetlbfs, and the blocks whose RAM files are there. */
  readonly huge?: { readonly dir: string; readonly blocks: readonly string[] };
}

/** Bytes of a huge page. */
export const HUGE_BYTES = 2 << 20;

export interface SetParts {
  readonly client: WireClient;
  /** The VMM's program. */
  readonly program: string;
  /** An own folder on tmpfs. */
  readonly dir: string;
  readonly name: string;
}

/** Pages that a batch may have without more than 256 RAW ones. */
const BATCH_PAGES = 64;

/** A umem set with everything around it: source, VMM and VMM side are played by the suite. */
export class PlayedSet {
  readonly name: string;
  readonly ram: GuestRam;
  readonly source: PlayedSource;
  readonly client: WireClient;
  readonly dir: string;
  readonly backgroundLanes: number;
  readonly #parts: SetParts;
  readonly #options: SetOptions;
  readonly #others: Vmm[] = [];
  #vmm: Vmm | null = null;
  #control: Control | null = null;
  #socket = '';

  constructor(parts: SetParts, options: SetOptions = {}) {
    this.#parts = parts;
    this.#options = options;
    this.name = parts.name;
    this.client = parts.client;
    this.dir = parts.dir;
    const huge = Object.fromEntries((options.huge?.blocks ?? []).map((id) => [id, HUGE_BYTES]));
    this.ram = new GuestRam(options.sizes ?? { ram0: 512, ram1: 253 }, huge);
    this.source = new PlayedSource(this.ram);
    this.backgroundLanes = options.backgroundLanes ?? 1;
  }

  get confirmsPlaced(): boolean {
    return this.#options.confirmPlaced ?? false;
  }

  get socket(): string {
    return this.#socket;
  }

  get vmm(): Vmm {
    check(this.#vmm !== null, 'The set has no VMM yet');
    return this.#vmm;
  }

  get control(): Control {
    check(this.#control !== null, 'The set has no Control stream yet');
    return this.#control;
  }

  /** Lanes of one connection. */
  get laneCount(): number {
    return 1 + this.backgroundLanes;
  }

  get target(): LaneTargetMessage {
    return {
      migration_id: `migration-of-${this.name}`,
      token: Buffer.from(`token of ${this.name}`).toString('base64url'),
      demand_address: this.source.address,
      background_addresses: Array.from({ length: this.backgroundLanes }, () => this.source.address),
    };
  }

  async create(): Promise<UmemMessage> {
    const umem = await this.client.call<UmemMessage>('Umemd', 'CreateUmem', {
      name: this.name,
      blocks: this.ram.messages,
      placement: this.#options.placement ?? 'PLACEMENT_UNSPECIFIED',
      postcopy_flags: this.#options.postcopyFlags ?? 0,
    });
    this.#socket = umem.handoff_socket_path;
    await this.source.start();
    return umem;
  }

  connect(changes: Partial<LaneTargetMessage> = {}): Promise<UmemMessage> {
    return this.client.call<UmemMessage>('Umemd', 'ConnectUmem', {
      name: this.name,
      target: { ...this.target, ...changes },
      confirm_placed: this.#options.confirmPlaced ?? false,
    });
  }

  /** A Control stream that has said ATTACH; the set's own when it has none. */
  attach(): Control {
    const control = new Control(this.client);
    control.send({ umem: this.name, attach: {} });
    this.#control = control;
    return control;
  }

  get(): Promise<UmemMessage> {
    return this.client.call<UmemMessage>('Umemd', 'GetUmem', { name: this.name });
  }

  delete(guestNeverRan = false): Promise<object> {
    return this.client.call('Umemd', 'DeleteUmem', { name: this.name, guest_never_ran: guestNeverRan });
  }

  ramPath(blockId: string): string {
    return join(this.#ramDir(blockId), blockId);
  }

  /** A VMM whose RAM files are mapped, and registered when it hands over by itself. */
  async startVmm(): Promise<Vmm> {
    const isPreload = this.#options.handoff === 'preload';
    const entries = [...this.ram.blocks.keys()].map((id) => `${id}=${this.ramPath(id)}`);
    const env = { LD_PRELOAD: preloadLibraryPath(), UMEM_RAM: entries.join(':'), UMEM_HANDOFF: this.#socket };
    const vmm = (this.#vmm = new Vmm(this.#parts.program, isPreload ? env : {}));
    for (const [id, bytes] of this.ram.blocks) {
      await mkdir(this.#ramDir(id), { recursive: true });
      await writeFile(this.ramPath(id), '', { mode: 0o600 });
      await truncate(this.ramPath(id), bytes.length);
    }
    await this.#map(vmm, !isPreload);
    return vmm;
  }

  /** Another process on the same RAM files, as a vhost-user back end is; it has handed nothing over. */
  async startOther(): Promise<Vmm> {
    const other = new Vmm(this.#parts.program);
    this.#others.push(other);
    await this.#map(other, true);
    return other;
  }

  /** Hands one block over, as the preload library does. */
  async handOver(blockId: string, vmm = this.vmm): Promise<string> {
    const region = { ...vmm.region(blockId), ram_block: blockId, pid: vmm.pid, uffd: 7 };
    return vmm.send(this.#socket, [region], [`uffd:${blockId}`, `file:${blockId}`]);
  }

  /** Hands every block of another process over. */
  async handOverOther(other: Vmm): Promise<void> {
    for (const id of this.ram.blocks.keys())
      checkSame(`answer to the handoff of ${id} by another process`, await this.handOver(id, other), 'READY');
  }

  /** Starts the VMM and hands every block over. */
  async handOverAll(): Promise<void> {
    await this.startVmm();
    if (this.#options.handoff === 'preload') return;
    for (const id of this.ram.blocks.keys())
      checkSame(`answer to the handoff of ${id}`, await this.handOver(id), 'READY');
  }

  /** Created, connected, attached and handed over: faults are parked. */
  async park(): Promise<this> {
    await this.create();
    await this.connect();
    this.attach();
    await this.handOverAll();
    await this.control.ready('UMEM_STATE_HANDED_OFF');
    return this;
  }

  /** Lets faults be answered. */
  async arm(): Promise<void> {
    this.control.send({ ready: {} });
    await this.control.ready('UMEM_STATE_ARMED');
  }

  /** Everything up to ARMED; answers the first connection's lanes, demand first. */
  async armed(): Promise<{ readonly demand: PlayedLane; readonly background: PlayedLane[] }> {
    await this.park();
    await this.arm();
    return this.lanes(1);
  }

  /** The lanes of a connection, demand first. */
  async lanes(
    generation: number,
  ): Promise<{ readonly demand: PlayedLane; readonly background: PlayedLane[] }> {
    return sort(await this.source.connection(generation, this.laneCount));
  }

  /** The lanes of the connection that comes after this one. */
  async lanesAfter(
    generation: number,
  ): Promise<{ readonly demand: PlayedLane; readonly background: PlayedLane[] }> {
    return sort(await this.source.after(generation, this.laneCount));
  }

  /** Touches a page; throws unless the guest reads what the source has. */
  async touch(blockId: string, pgoff: number, vmm = this.vmm): Promise<void> {
    const crc = await vmm.read(blockId, pgoff);
    check(
      crc === this.ram.crc(blockId, pgoff),
      `The guest reads other bytes of page ${pageKey(blockId, pgoff)} than the source has`,
    );
  }

  /** Resolves with the set's statistics when they are so. */
  async untilStats(what: string, isSo: (stats: TransferStatsMessage) => boolean): Promise<void> {
    await untilTrue(what, async () => {
      const { stats } = await this.get();
      return stats !== null && isSo(stats);
    });
  }

  /** Bytes of a page in the RAM file: zeros where no page was placed. */
  async stored(blockId: string, pgoff: number): Promise<Buffer> {
    const file = await open(this.ramPath(blockId));
    try {
      return (await file.read(Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, pgoff * PAGE_BYTES)).buffer;
    } finally {
      await file.close();
    }
  }

  /** Throws when one of these pages was placed. */
  async checkNotPlaced(blockId: string, pgoffs: readonly number[]): Promise<void> {
    for (const pgoff of pgoffs) {
      const isZero = (await this.stored(blockId, pgoff)).every((byte) => byte === 0);
      check(isZero, `Page ${pageKey(blockId, pgoff)} was placed`);
    }
  }

  /** Pushes all pages but these over a lane, in good batches. */
  async push(lane: PlayedLane, without: ReadonlySet<PageKey> = new Set()): Promise<void> {
    for (const id of this.ram.blocks.keys()) {
      const pgoffs = pagesBut(this.ram, id, without);
      for (let at = 0; at < pgoffs.length; at += BATCH_PAGES)
        await lane.pages(id, pgoffs.slice(at, at + BATCH_PAGES));
    }
  }

  /** Waits for QUIT, answers it, and waits until the set is RELEASED. */
  async release(): Promise<void> {
    await this.control.hear('QUIT', ({ command }) => command === 'quit');
    this.control.send({ quit: {} });
    await this.until('UMEM_STATE_RELEASED');
  }

  /** Throws unless the guest reads everywhere what the source has, in plain memory. `zeros`: pages it gave up. */
  async checkMemory(zeros: ReadonlySet<PageKey> = new Set(), vmm = this.vmm): Promise<void> {
    const empty = Buffer.alloc(PAGE_BYTES);
    for (const id of this.ram.blocks.keys()) {
      const seen = await vmm.dump(id, join(this.dir, `${id}.seen`));
      for (let pgoff = 0; pgoff < this.ram.pageCount(id); pgoff++) {
        const expected = zeros.has(pageKey(id, pgoff)) ? empty : this.ram.page(id, pgoff);
        const found = seen.subarray(pgoff * PAGE_BYTES, (pgoff + 1) * PAGE_BYTES);
        check(
          found.equals(expected),
          `The guest reads other bytes of page ${pageKey(id, pgoff)} than it should`,
        );
      }
    }
  }

  /** Resolves with the set when it is in one of these states. */
  until(...states: readonly string[]): Promise<UmemMessage> {
    const stream = this.client.watch<UmemMessage>('Umemd', 'WatchUmem', { name: this.name, interval_ms: 50 });
    return new Promise<UmemMessage>((resolve, reject) => {
      let last = 'unknown';
      stream.on('data', (umem: UmemMessage) => {
        last = umem.state;
        if (!states.includes(umem.state)) return;
        resolve(umem);
        stream.cancel();
      });
      stream.on('end', () => reject(new Error(`The set ended in ${last}, not in ${states.join(' or ')}`)));
      stream.on('error', reject);
    });
  }

  /** Lets everything go. */
  async close(): Promise<void> {
    this.source.kill();
    for (const vmm of [this.#vmm, ...this.#others]) await vmm?.kill();
    this.#control?.hangUp();
    // A set that a rule has deleted already, or never made, is as good.
    await this.delete(true).catch(() => undefined);
    // Huge pages are few, and go back when their files do.
    const { huge } = this.#options;
    if (huge !== undefined) await rm(join(huge.dir, this.name), { recursive: true, force: true });
  }

  /** Maps every block, and registers each with a userfaultfd of its own. */
  async #map(vmm: Vmm, registers: boolean): Promise<void> {
    for (const [id, bytes] of this.ram.blocks) {
      await vmm.mapFile(id, this.ramPath(id), bytes.length, this.ram.hostPageBytes(id));
      if (registers) await vmm.register(id, [id], this.#options.features ?? FEATURES.preload);
    }
  }

  #ramDir(blockId: string): string {
    const { huge } = this.#options;
    return huge?.blocks.includes(blockId) === true ? join(huge.dir, this.name) : this.dir;
  }
}

function sort(lanes: readonly PlayedLane[]): {
  readonly demand: PlayedLane;
  readonly background: PlayedLane[];
} {
  const demand = lanes.find(({ isDemand }) => isDemand);
  check(demand !== undefined, 'There is no demand lane among the lanes');
  return { demand, background: lanes.filter(({ isDemand }) => !isDemand) };
}
