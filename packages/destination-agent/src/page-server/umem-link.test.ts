import { Server, ServerCredentials, status, Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  streaming,
  toServiceError,
  UmemdService,
  unary,
  UmemState,
  type Umem,
  type UmemdCommand,
  type VmmCommand,
} from '@umem/api';
import { AlreadyExists, NotFound, PeerUnavailable, WrongState } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PageServer } from './page-server.js';
import { UmemLink } from './umem-link.js';

type Control = ServerDuplexStream<VmmCommand, UmemdCommand>;

const SILENT = {
  onTouch: () => undefined,
  onUmem: () => {},
  onQuit: () => {},
  onLoss: () => {},
  onBroken: () => {},
};

/** A page server that says what a test wants it to, in whatever order. */
class PuppetServer {
  readonly #server = new Server();
  readonly controls: Control[] = [];
  readonly deletions: boolean[] = [];
  umem: Umem = {
    name: 'vm1',
    state: UmemState.AWAITING_HANDOFF,
    blocks: [],
    handoffSocketPath: '/h',
    lanesConnected: false,
    stats: undefined,
    error: '',
    migrationId: '',
  };
  createError: Error | null = null;
  watchError: Error | null = null;
  deleteError: Error | null = null;
  quits = 0;

  constructor() {
    this.#server.addService(UmemdService, {
      createUmem: unary(() => {
        const error = this.createError;
        this.createError = null;
        if (error) throw error;
        return this.umem;
      }),
      deleteUmem: unary(({ guestNeverRan }: { guestNeverRan: boolean }) => {
        if (this.deleteError) throw this.deleteError;
        this.deletions.push(guestNeverRan);
        return {};
      }),
      watchUmem: streaming((_: unknown, signal) => this.#watch(signal)),
      control: (control: Control) => {
        this.controls.push(control);
        control.on('data', ({ command }: VmmCommand) => {
          if (command?.$case === 'quit') this.quits++;
        });
        control.on('error', () => {});
      },
    });
  }

  async start(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
  }

  /** The newest control stream, once it is there. */
  async control(count = 1): Promise<Control> {
    return vi.waitUntil(() => this.controls[count - 1]);
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  async *#watch(signal: AbortSignal): AsyncGenerator<Umem> {
    if (this.watchError) throw this.watchError;
    while (!signal.aborted) {
      yield this.umem;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

describe('UmemLink', () => {
  let puppet: PuppetServer;
  let server: PageServer;
  const request = { name: 'vm1', blocks: [], vmmUserId: undefined, placement: 0, postcopyFlags: 0 };
  beforeEach(async () => {
    puppet = new PuppetServer();
    server = new PageServer({ kind: 'tcp', host: '127.0.0.1', port: await puppet.start() });
  });
  afterEach(() => {
    server.close();
    puppet.stop();
  });

  const open = async (events = {}): Promise<UmemLink> => {
    const link = await UmemLink.create(server, request);
    await link.open({ ...SILENT, ...events });
    return link;
  };

  it('sees a handoff on whichever stream it comes first', async () => {
    const link = await open();
    const { signal } = new AbortController();
    const handedOff = link.handedOff(signal);
    (await puppet.control()).write({ command: { $case: 'ready', value: { state: UmemState.HANDED_OFF } } });
    await handedOff;
    const armed = link.arm(signal);
    puppet.umem = { ...puppet.umem, state: UmemState.ARMED };
    await armed;
    link.close();
  });

  it('waits no longer than its caller', async () => {
    const link = await open();
    const control = new AbortController();
    const handedOff = link.handedOff(control.signal);
    control.abort(new Error('enough'));
    await expect(handedOff).rejects.toThrow('enough');
    link.close();
  });

  it('replaces a set that an earlier VM left, without vouching for its guest', async () => {
    puppet.createError = new AlreadyExists('there is one');
    await UmemLink.create(server, request);
    expect(puppet.deletions).toEqual([false]);
  });

  it('leaves a set alone that a guest may still need', async () => {
    puppet.createError = new AlreadyExists('there is one');
    puppet.deleteError = new WrongState('umem vm1', 'ARMED', ['RELEASED'], 'a guest may be running');
    await expect(UmemLink.create(server, request)).rejects.toThrow(WrongState);
  });

  it('does not open when the page server refuses a stream', async () => {
    puppet.watchError = new NotFound('no such set');
    const link = await UmemLink.create(server, request);
    await expect(link.open(SILENT)).rejects.toThrow(NotFound);
  });

  it.each([
    ['ends', (control: Control) => control.end()],
    [
      'fails',
      (control: Control) =>
        control.emit('error', { code: status.INTERNAL, details: 'oops', metadata: new Metadata() }),
    ],
  ])('tells once that its control stream broke when that %s', async (_, end) => {
    const onBroken = vi.fn();
    const link = await open({ onBroken });
    end(await puppet.control());
    await vi.waitUntil(() => onBroken.mock.calls.length > 0);
    puppet.stop();
    await expect(link.arm(new AbortController().signal)).rejects.toThrow(PeerUnavailable);
    expect(onBroken).toHaveBeenCalledTimes(1);
    link.close();
  });

  it('passes QUIT and ERROR on, and answers QUIT when it lets go', async () => {
    const onQuit = vi.fn();
    const onLoss = vi.fn();
    const link = await open({ onQuit, onLoss });
    const control = await puppet.control();
    control.write({ command: { $case: 'error', value: { message: 'gone', missingPages: 7n } } });
    control.write({ command: undefined });
    control.write({ command: { $case: 'quit', value: {} } });
    await vi.waitUntil(() => onQuit.mock.calls.length > 0);
    expect(onLoss).toHaveBeenCalledExactlyOnceWith('gone', 7n);
    const released = link.release();
    await vi.waitUntil(() => puppet.quits === 1);
    puppet.umem = { ...puppet.umem, state: UmemState.RELEASED };
    expect((await released).state).toBe(UmemState.RELEASED);
    link.close();
  });

  it('attaches again to a page server that comes back, and hears it again', async () => {
    const onBroken = vi.fn();
    const onQuit = vi.fn();
    const link = await open({ onBroken, onQuit });
    (await puppet.control()).end();
    await vi.waitUntil(() => onBroken.mock.calls.length > 0);
    puppet.watchError = new PeerUnavailable('not yet');
    const reattached = link.reattach();
    await puppet.control(2);
    puppet.watchError = null;
    await reattached;
    puppet.controls.at(-1)?.write({ command: { $case: 'quit', value: {} } });
    await vi.waitUntil(() => onQuit.mock.calls.length > 0);
    link.close();
  });

  it('gives up on a page server that comes back without the set', async () => {
    const onBroken = vi.fn();
    const link = await open({ onBroken });
    puppet.watchError = new NotFound('no such set');
    (await puppet.control()).end();
    await vi.waitUntil(() => onBroken.mock.calls.length > 0);
    await expect(link.reattach()).rejects.toThrow(NotFound);
    link.close();
  });

  it('stops trying when it is closed', async () => {
    const onBroken = vi.fn();
    const link = await open({ onBroken });
    puppet.stop();
    await vi.waitUntil(() => onBroken.mock.calls.length > 0);
    const reattached = link.reattach();
    link.close();
    await expect(reattached).rejects.toThrow(/was closed/);
  });

  it('finds a set that is gone deleted', async () => {
    const link = await open();
    puppet.deleteError = new NotFound('no such set');
    await link.delete({ guestNeverRan: true });
    puppet.deleteError = Object.assign(
      new PeerUnavailable('away'),
      toServiceError(new PeerUnavailable('away')),
    );
    await expect(link.delete({ guestNeverRan: true })).rejects.toThrow(PeerUnavailable);
  });
});
