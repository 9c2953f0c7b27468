import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { credentials, type ClientWritableStream } from '@grpc/grpc-js';
import {
  call,
  fromServiceError,
  IncomingServiceClient,
  IncomingState,
  Placement,
  type DeviceStateChunk,
  type Incoming,
  type PrepareIncomingRequest,
  type RamBlockMessage,
} from '@umem/api';
import { startDaemon, type StartedDaemon } from '@umem/daemon';
import { processGuestPath, startProcessGuest, type ProcessGuest } from '@umem/vmm';
import { stringify } from 'yaml';
import { destinationAgentDaemon } from '../server.js';
import { PageServerProcess } from './page-server-process.js';
import { PageSource, type ServedBlock } from './page-source.js';
import { SourceVm } from './source-vm.js';

const peer = { peer: 'destination-agent', timeoutMs: 60_000 };

/** A destination host: page server and agent, with a source to move from; undone by `close`. */
export class Lab {
  readonly #undo: (() => Promise<unknown>)[] = [];
  #agent: StartedDaemon | null = null;
  #client: IncomingServiceClient | null = null;

  private constructor(
    readonly dir: string,
    readonly pageServer: PageServerProcess,
  ) {}

  static async start(settings: Record<string, unknown> = {}): Promise<Lab> {
    const dir = await mkdtemp('/dev/shm/umem-da-');
    const lab = new Lab(dir, await PageServerProcess.start(dir));
    lab.#undo.push(
      () => rm(dir, { recursive: true, force: true }),
      () => lab.pageServer.stop(),
    );
    await mkdir(lab.profileDir);
    await lab.startAgent(settings);
    return lab;
  }

  get ramDir(): string {
    return join(this.dir, 'ram');
  }

  get profileDir(): string {
    return join(this.dir, 'profiles');
  }

  /** A block that no VM has, for what never gets as far as pages. */
  block(blockId = 'ram0', sizeBytes = 1 << 20): ServedBlock {
    return { blockId, sizeBytes, hostPageSizeBytes: 4096, path: '/nowhere' };
  }

  get client(): IncomingServiceClient {
    if (!this.#client) throw new Error('The agent was not started');
    return this.#client;
  }

  async startAgent(settings: Record<string, unknown> = {}): Promise<void> {
    const agent = await startDaemon(destinationAgentDaemon, {
      listen: '127.0.0.1:0',
      stateDir: join(this.dir, 'da'),
      pageServer: this.pageServer.address,
      ramDir: this.ramDir,
      vmProfiles: this.profileDir,
      logLevel: process.env['UMEM_TEST_LOG'] ?? 'silent',
      ...settings,
    });
    this.#agent = agent;
    this.#client = new IncomingServiceClient(agent.address, credentials.createInsecure());
    this.#undo.push(() => this.stopAgent());
  }

  async stopAgent(): Promise<void> {
    this.#client?.close();
    await this.#agent?.stop();
  }

  /** A profile that launches the process guest with all blocks. */
  async writeProfile(
    name: string,
    blocks: readonly ServedBlock[],
    extraArgs: readonly string[] = [],
  ): Promise<void> {
    const ram = blocks.flatMap(({ blockId }) => [
      '--ram',
      `id=${blockId},size=\${ram.${blockId}.size},path=\${ram.${blockId}.path}`,
    ]);
    await this.writeRawProfile(name, {
      command: processGuestPath(),
      args: ['--name', '${name}', '--qmp', '${qmp}', '--incoming', '--think-us', 200, ...ram, ...extraArgs],
    });
  }

  async writeRawProfile(name: string, profile: unknown): Promise<void> {
    await writeFile(join(this.profileDir, `${name}.yaml`), stringify(profile));
  }

  /** A running guest to move, and who serves its pages. */
  async source(sizes: Readonly<Record<string, number>> = { ram0: 4 << 20 }) {
    const dir = await mkdtemp(join(this.dir, 'source-'));
    const vm = await SourceVm.start(dir, sizes);
    this.#undo.push(() => vm.stop());
    const pages = await this.pages('mig-1', vm.blocks);
    return { vm, pages };
  }

  /**
   * Moves a VM with a launched VMM up to a state, in which it is left. Ends the test when it does
   * not get there.
   */
  async bring(name: string, state: 'PREPARED' | 'CONNECTED' | 'LOADED' | 'RESUMED') {
    const { vm, pages } = await this.source();
    await this.writeProfile(name, vm.blocks);
    const { vmmPid, ram } = await this.prepare(name, vm.blocks, name);
    const moved = { vm, pages, vmmPid, ram };
    if (state === 'PREPARED') return moved;
    await this.connect(name, pages);
    if (state === 'CONNECTED') return moved;
    await this.load(name, 'mig-1', await vm.save());
    if (state === 'LOADED') return moved;
    await this.resume(name, 'mig-1');
    return moved;
  }

  async pages(migrationId: string, blocks: readonly ServedBlock[]): Promise<PageSource> {
    const pages = new PageSource(migrationId, blocks);
    await pages.start();
    this.#undo.push(async () => pages.cut());
    return pages;
  }

  /** Starts the VMM of a prepared incoming VM as a control plane would. */
  async launch(incoming: Incoming): Promise<ProcessGuest> {
    const guest = await startProcessGuest({
      name: `destination-${incoming.name}`,
      dir: this.dir,
      incoming: true,
      qmpPath: incoming.qmpPath,
      env: incoming.env,
      workload: { thinkUs: 200 },
      blocks: incoming.ram.map(({ block, path }) => ({
        id: block?.blockId ?? '',
        sizeBytes: Number(block?.sizeBytes ?? 0n),
        path,
      })),
    });
    this.#undo.push(() => guest.kill());
    return guest;
  }

  preflight(name: string, blocks: readonly ServedBlock[], profile = '', placement = Placement.COPY) {
    return call(
      this.client,
      this.client.preflight,
      { name, blocks: toMessages(blocks), profile, placement, vhostUserDevices: [] },
      peer,
    );
  }

  async prepare(
    name: string,
    blocks: readonly ServedBlock[],
    profile = '',
    {
      placement = Placement.COPY,
      postcopyFlags = 0,
      vhostUserDevices = [],
    }: Partial<Pick<PrepareIncomingRequest, 'placement' | 'postcopyFlags' | 'vhostUserDevices'>> = {},
  ): Promise<Incoming> {
    const request = {
      ...{ name, blocks: toMessages(blocks), profile },
      ...{ placement, postcopyFlags, vhostUserDevices },
    };
    const incoming = await call(this.client, this.client.prepareIncoming, request, peer);
    // It outlives the agent, as it should, but not the test.
    if (incoming.vmmPid !== 0) this.#undo.push(async () => killIfLeft(incoming.vmmPid));
    return incoming;
  }

  connect(
    name: string,
    pages: PageSource,
    { timeoutMs = 0, backgroundLanes = 1, confirmPlaced = false, signal = AbortSignal.any([]) } = {},
  ) {
    const request = {
      name,
      target: pages.target(backgroundLanes),
      blocks: toMessages(pages.blocks),
      timeoutMs,
      confirmPlaced,
    };
    return call(this.client, this.client.connectIncoming, request, { ...peer, signal });
  }

  /** A LoadDeviceState call, for the test to write on, and its answer. */
  openLoad(): { stream: ClientWritableStream<DeviceStateChunk>; answer: Promise<Incoming> } {
    let stream: ClientWritableStream<DeviceStateChunk> | undefined;
    const answer = new Promise<Incoming>((resolve, reject) => {
      stream = this.client.loadDeviceState((error, response) =>
        error ? reject(toError(error)) : resolve(response),
      );
    });
    // Who opens it may look at the answer later.
    answer.catch(() => {});
    if (!stream) throw new Error('The call was not made');
    return { stream, answer };
  }

  load(name: string, migrationId: string, state: Uint8Array): Promise<Incoming> {
    const { stream, answer } = this.openLoad();
    stream.write({ name, migrationId, data: Buffer.alloc(0) });
    for (let at = 0; at < state.length; at += 1 << 16)
      stream.write({ name: '', migrationId: '', data: Buffer.from(state.subarray(at, at + (1 << 16))) });
    stream.end();
    return answer;
  }

  resume(name: string, migrationId: string): Promise<Incoming> {
    return call(this.client, this.client.resumeIncoming, { name, migrationId }, peer);
  }

  abort(name: string, migrationId = '', reason = 'test'): Promise<object> {
    return call(this.client, this.client.abortIncoming, { name, migrationId, reason }, peer);
  }

  forget(name: string): Promise<object> {
    return call(this.client, this.client.forgetIncoming, { name }, peer);
  }

  get(name: string): Promise<Incoming> {
    return call(this.client, this.client.getIncoming, { name }, peer);
  }

  async list(): Promise<Incoming[]> {
    return (await call(this.client, this.client.listIncomings, {}, peer)).incomings;
  }

  /** What a watcher sees until `accepts`, or until the agent ends the stream. */
  async watch(name: string, accepts: (incoming: Incoming) => boolean = () => false): Promise<Incoming[]> {
    const stream = this.client.watchIncoming({ name, intervalMs: 50 });
    const seen: Incoming[] = [];
    try {
      for await (const incoming of stream as AsyncIterable<Incoming>) {
        seen.push(incoming);
        if (accepts(incoming)) break;
      }
    } catch (error) {
      throw toError(error);
    } finally {
      stream.cancel();
    }
    return seen;
  }

  /** Resolves with the incoming VM once it is in this state; fails when it ends in another. */
  async until(name: string, state: IncomingState): Promise<Incoming> {
    const last = (await this.watch(name, (incoming) => incoming.state === state)).at(-1);
    if (last?.state !== state)
      throw new Error(`"${name}" ended ${last ? `${IncomingState[last.state]}: ${last.error}` : 'unseen'}`);
    return last;
  }

  /** What is left of incoming VMs on the host: RAM, run directories, umem sets. */
  async remains() {
    const files = async (dir: string): Promise<string[]> => await readdir(dir).catch(() => []);
    return {
      ram: await files(this.ramDir),
      run: await files(join(this.dir, 'da/incoming')),
      umems: (await this.pageServer.list()).map(({ name }) => name),
    };
  }

  async close(): Promise<void> {
    for (const undo of this.#undo.reverse()) await undo();
  }
}

/** What `remains` answers on a clean host. */
export const NOTHING = { ram: [], run: [], umems: [] };

function toMessages(blocks: readonly ServedBlock[]): RamBlockMessage[] {
  return blocks.map(({ blockId, sizeBytes, hostPageSizeBytes }) => ({
    blockId,
    sizeBytes: BigInt(sizeBytes),
    hostPageSizeBytes: BigInt(hostPageSizeBytes),
  }));
}

function toError(error: unknown): Error {
  const known = fromServiceError(error, peer.peer);
  return known instanceof Error ? known : new Error(String(known));
}

function killIfLeft(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}
