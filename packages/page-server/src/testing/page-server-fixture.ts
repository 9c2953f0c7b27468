import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, Metadata, type ClientDuplexStream } from '@grpc/grpc-js';
import {
  call,
  Placement,
  UmemdClient,
  UmemState,
  type CreateUmemRequest,
  type LaneTarget,
  type RamBlockMessage,
  type Umem,
  type UmemdCommand,
  type VmmCommand,
} from '@umem/api';
import { startDaemon, type StartedDaemon } from '@umem/daemon';
import { pageServerDaemon } from '../server.js';
import type { NamedPages } from '../session/named-pages.js';
import { makeRam, TestSource } from './test-source.js';
import { TestVmm } from './test-vmm.js';

export const NAME = 'vm1';
const PEER = { peer: 'page-server' };

/** The VMM side of a set: what it was told, and what it says. */
export class VmmSide {
  readonly told: NonNullable<UmemdCommand['command']>[] = [];
  readonly #stream: ClientDuplexStream<VmmCommand, UmemdCommand>;
  #waiting: (() => void)[] = [];
  error: Error | null = null;
  over = false;
  /** Answers TRIGGER_PAGE_FAULT; nobody does unless it is set. */
  touch: ((pages: NamedPages) => void) | null = null;

  constructor(client: UmemdClient, first: VmmCommand) {
    this.#stream = client.control(new Metadata());
    this.#stream.on('data', ({ command }: UmemdCommand) => {
      if (command) this.told.push(command);
      if (command?.$case === 'triggerPageFault') this.touch?.(command.value);
      this.#wake();
    });
    this.#stream.on('error', (error) => {
      this.error = error;
      this.#wake();
    });
    this.#stream.on('status', () => {
      this.over = true;
      this.#wake();
    });
    this.#stream.write(first);
  }

  say(command: NonNullable<VmmCommand['command']>): void {
    this.#stream.write({ umem: '', command });
  }

  ready(): void {
    this.say({ $case: 'ready', value: { state: UmemState.UNSPECIFIED } });
  }

  /** Resolves with the first command of a kind that was told, READY with the given state. */
  async hear<K extends NonNullable<UmemdCommand['command']>['$case']>(
    kind: K,
    state?: UmemState,
  ): Promise<Extract<NonNullable<UmemdCommand['command']>, { $case: K }>> {
    for (;;) {
      const found = this.told.find(
        (command): command is Extract<NonNullable<UmemdCommand['command']>, { $case: K }> =>
          command.$case === kind &&
          (state === undefined || (command.$case === 'ready' && command.value.state === state)),
      );
      if (found) return found;
      if (this.over) throw this.error ?? new Error(`The stream ended without ${kind}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Resolves when the stream has ended. */
  async ended(): Promise<void> {
    while (!this.over) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  hangUp(): void {
    this.#stream.cancel();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** A page server in this process with a VMM and a source of its own; `close` in a `finally` or an `onTestFinished`. */
export class Fixture {
  readonly vmm: TestVmm;
  readonly sources: TestSource[] = [];
  /** How sets are created and connected; may be changed before they are. */
  readonly placing = { placement: Placement.COPY as Placement, postcopyFlags: 0, confirmPlaced: false };
  readonly ram: Map<string, Buffer>;
  readonly #directory = mkdtempSync(join(tmpdir(), 'umem-ps-'));
  #daemon: StartedDaemon | null = null;
  #client: UmemdClient | null = null;

  /** `directory`: for RAM files, in pages of `hostPageSize` bytes. */
  constructor(
    blocks: Readonly<Record<string, number>>,
    directory = '/dev/shm',
    readonly hostPageSize = 4096,
  ) {
    this.vmm = new TestVmm(directory, hostPageSize);
    this.ram = new Map(Object.entries(blocks).map(([id, bytes], i) => [id, makeRam(bytes, i + 1)]));
  }

  /** Starts the page server; `settings` override its configuration. */
  async start(settings: Record<string, unknown> = {}): Promise<this> {
    this.#daemon = await startDaemon(pageServerDaemon, {
      listen: `unix:${this.#directory}/umemd.sock`,
      stateDir: join(this.#directory, 'state'),
      logLevel: process.env['UMEM_TEST_LOG'] ?? 'silent',
      maxReconnectDelay: '50ms',
      quitTimeout: '300ms',
      ...settings,
    });
    const { address } = this.#daemon;
    this.#client = new UmemdClient(address, credentials.createInsecure());
    return this;
  }

  get client(): UmemdClient {
    if (!this.#client) throw new Error('The page server was not started');
    return this.#client;
  }

  get metricsAddress(): string {
    return this.#daemon?.metricsAddress ?? '';
  }

  get blocks(): RamBlockMessage[] {
    return [...this.ram].map(([blockId, bytes]) => ({
      blockId,
      sizeBytes: BigInt(bytes.length),
      hostPageSizeBytes: BigInt(this.hostPageSize),
    }));
  }

  async source(address?: string): Promise<TestSource> {
    const source = await new TestSource(this.ram).start(address);
    this.sources.push(source);
    return source;
  }

  target(source: TestSource, backgroundLanes: number): LaneTarget {
    return {
      migrationId: 'mig-1',
      token: 'dG9rZW4',
      demandAddress: source.address,
      backgroundAddresses: Array.from({ length: backgroundLanes }, () => source.address),
    };
  }

  /** A request for a set with the fixture's blocks; COPY unless `placing` says otherwise. */
  createRequest(name = NAME): CreateUmemRequest {
    const { placement, postcopyFlags } = this.placing;
    return { name, blocks: this.blocks, placement, postcopyFlags };
  }

  create(name = NAME): Promise<Umem> {
    return call(this.client, this.client.createUmem, this.createRequest(name), PEER);
  }

  connect(target: LaneTarget, name = NAME): Promise<Umem> {
    const { confirmPlaced } = this.placing;
    return call(this.client, this.client.connectUmem, { name, target, confirmPlaced }, PEER);
  }

  get(name = NAME): Promise<Umem> {
    return call(this.client, this.client.getUmem, { name }, PEER);
  }

  async delete(guestNeverRan = false, name = NAME): Promise<void> {
    await call(this.client, this.client.deleteUmem, { name, guestNeverRan }, PEER);
  }

  attach(name = NAME): VmmSide {
    return this.attachWith({ umem: name, command: { $case: 'attach', value: {} } });
  }

  attachWith(first: VmmCommand): VmmSide {
    return new VmmSide(this.client, first);
  }

  /** Maps every block in the VMM and hands it over. */
  async handOver(socket: string): Promise<void> {
    for (const [id, bytes] of this.ram) {
      await this.vmm.map(id, bytes.length);
      const reply = await this.vmm.handOver(socket, id);
      if (reply !== 'READY') throw new Error(`Handoff of ${id} was answered ${reply}`);
    }
  }

  /** Everything up to ARMED. */
  async arm(backgroundLanes: number): Promise<{ source: TestSource; side: VmmSide }> {
    const source = await this.source();
    return { source, side: await this.armWith(this.target(source, backgroundLanes)) };
  }

  /** Everything up to ARMED, with lanes to `target`. */
  async armWith(target: LaneTarget): Promise<VmmSide> {
    const { handoffSocketPath } = await this.create();
    await this.connect(target);
    const side = this.attach();
    await this.handOver(handoffSocketPath);
    await side.hear('ready', UmemState.HANDED_OFF);
    side.ready();
    await side.hear('ready', UmemState.ARMED);
    return side;
  }

  /** Resolves with the set when `condition` holds for it. */
  async until(condition: (umem: Umem) => boolean, name = NAME): Promise<Umem> {
    const stream = this.client.watchUmem({ name, intervalMs: 50 }, new Metadata());
    try {
      for await (const umem of stream as AsyncIterable<Umem>) if (condition(umem)) return umem;
    } finally {
      stream.cancel();
    }
    throw new Error('The set ended before the condition held');
  }

  /** Pages whose bytes in the VMM's RAM file differ from the source's, as "block:pgoff". */
  differences(): string[] {
    const wrong: string[] = [];
    for (const [id, expected] of this.ram) {
      const found = this.vmm.contents(id);
      for (let at = 0; at < expected.length; at += 4096)
        if (!found.subarray(at, at + 4096).equals(expected.subarray(at, at + 4096)))
          wrong.push(`${id}:${at / 4096}`);
    }
    return wrong;
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await this.#daemon?.stop();
  }

  async close(): Promise<void> {
    for (const source of this.sources) source.kill();
    await this.stop();
    await this.vmm.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
