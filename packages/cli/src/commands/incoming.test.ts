import {
  IncomingServiceService,
  IncomingState,
  Placement,
  UmemState,
  unary,
  VmServiceService,
  type IncomingServiceServer,
  type PrepareIncomingRequest,
} from '@umem/api';
import { AlreadyExists, Overloaded, WrongState } from '@umem/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { runCli } from '../run-cli.js';
import { block, createIncoming, createStats, createVm } from '../testing/messages.js';
import { ScriptedPeer } from '../testing/scripted-peer.js';
import { createTestIo } from '../testing/test-io.js';

let peer: ScriptedPeer;
afterEach(() => peer.stop());

/** One peer is the source as well as the destination. */
async function run(handlers: Partial<IncomingServiceServer>, ...argv: string[]) {
  peer = await ScriptedPeer.start(
    { definition: IncomingServiceService, handlers },
    { definition: VmServiceService, handlers: { getVm: unary(() => createVm()) } },
  );
  const io = createTestIo({ env: { UMEM_AGENT: peer.address, UMEM_SOURCE: peer.address } });
  const code = await runCli(['incoming', ...argv], io);
  return { code, io };
}

describe('umemctl incoming prepare', () => {
  it("prepares the source's RAM for a VMM that somebody else starts and prints exactly what it needs", async () => {
    const requests: PrepareIncomingRequest[] = [];
    const prepareIncoming = unary((request: PrepareIncomingRequest) => {
      requests.push(request);
      return createIncoming();
    });
    const { code, io } = await run({ prepareIncoming }, 'prepare', 'web1', '--json');
    expect(code).toBe(0);
    const usual = { placement: Placement.COPY, postcopyFlags: 0 };
    expect(requests).toEqual([
      { name: 'web1', blocks: [block], profile: '', vhostUserDevices: [], ...usual },
    ]);
    expect(io.stdout.json()).toEqual({
      apiVersion: 'umem/v1',
      ram: [{ id: 'ram0', path: '/dev/shm/umem/web1/ram0', size: 536_870_912 }],
      env: { LD_PRELOAD: '/usr/lib/umem/libumem-handoff.so', UMEM_RAM: 'ram0=/dev/shm/umem/web1/ram0' },
      qmp: '/run/umem/web1.qmp',
    });
  });

  it('asks for the placement that the flags say', async () => {
    const requests: PrepareIncomingRequest[] = [];
    const prepareIncoming = unary((request: PrepareIncomingRequest) => {
      requests.push(request);
      return createIncoming();
    });
    const flags = ['--placement', 'cache', '--postcopy-flags', '0x1'];
    expect((await run({ prepareIncoming }, 'prepare', 'web1', ...flags)).code).toBe(0);
    expect(requests).toMatchObject([{ placement: Placement.CACHE, postcopyFlags: 1 }]);
  });

  it('tells a person how to start QEMU, with values quoted for a shell', async () => {
    const incoming = createIncoming({ env: { UMEM_RAM: "ram0=/dev/shm/it's here" } });
    const { io } = await run({ prepareIncoming: unary(() => incoming) }, 'prepare', 'web1');
    expect(io.stdout.text).toContain("  UMEM_RAM='ram0=/dev/shm/it'\\''s here'\n");
    expect(io.stdout.text).toContain(
      '  -object memory-backend-file,id=ram0,size=536870912,mem-path=/dev/shm/umem/web1/ram0,share=on\n',
    );
    expect(io.stdout.text).toContain('-qmp unix:/run/umem/web1.qmp,server=on,wait=off -incoming defer');
  });

  it.each([
    [new AlreadyExists('web1 is prepared already'), 3],
    [new Overloaded('RAM of incoming VMs would be 9 GiB of 8 GiB'), 4],
  ])('reports %s with exit code %i', async (refusal, exitCode) => {
    const prepareIncoming = unary(() => {
      throw refusal;
    });
    const { code, io } = await run({ prepareIncoming }, 'prepare', 'web1');
    expect(code).toBe(exitCode);
    expect(io.stderr.text).toBe(`umemctl: ${refusal.message}\n`);
  });
});

describe('umemctl incoming', () => {
  const resumed = createIncoming({
    state: IncomingState.RESUMED,
    migrationId: 'mig-1',
    vmmPid: 99,
    umemState: UmemState.ARMED,
    resumedAtUnixUs: 1_700_000_000_000_001n,
    stats: createStats({ remainingPages: 5n }),
  });

  it('shows one incoming VM as the documented JSON object', async () => {
    const { io } = await run({ getIncoming: unary(() => resumed) }, 'get', 'web1', '--json');
    expect(io.stdout.json()).toMatchObject({
      apiVersion: 'umem/v1',
      name: 'web1',
      state: 'RESUMED',
      ram: [{ id: 'ram0', path: '/dev/shm/umem/web1/ram0', size: 536_870_912 }],
      qmp: '/run/umem/web1.qmp',
      migrationId: 'mig-1',
      vmmPid: 99,
      umemState: 'ARMED',
      resumedAtUnixUs: 1_700_000_000_000_001,
      pageServerLost: false,
      pages: { remaining: 5 },
      error: null,
    });
  });

  it('shows a failed one with what is left of its guest', async () => {
    const failed = createIncoming({
      state: IncomingState.FAILED,
      error: 'QEMU quit',
      guestRecoverable: true,
    });
    const { io } = await run({ getIncoming: unary(() => failed) }, 'get', 'web1', '--json');
    expect(io.stdout.json()).toMatchObject({ error: { message: 'QEMU quit', guestRecoverable: true } });
  });

  it('shows one incoming VM to a person', async () => {
    const { io } = await run({ getIncoming: unary(() => resumed) }, 'get', 'web1');
    expect(io.stdout.text).toMatch(/^State +RESUMED$/m);
    expect(io.stdout.text).toMatch(/^Pages +5 of 131,072 missing$/m);
    expect(io.stdout.text).toMatch(/^Resumed +2023-11-14T22:13:20Z$/m);
  });

  it('lists incoming VMs', async () => {
    const { io } = await run({ listIncomings: unary(() => ({ incomings: [resumed] })) }, 'list');
    expect(io.stdout.text).toMatch(/^web1 +RESUMED +mig-1 +process 99$/m);
  });

  it('aborts with the reason for the log', async () => {
    const requests: unknown[] = [];
    const abortIncoming = unary((request: unknown) => {
      requests.push(request);
      return {};
    });
    const { code } = await run({ abortIncoming }, 'abort', 'web1', '--reason', 'wrong host');
    expect(code).toBe(0);
    expect(requests).toEqual([{ name: 'web1', migrationId: '', reason: 'wrong host' }]);
  });

  it('exits 3 when the guest runs already', async () => {
    const abortIncoming = unary(() => {
      throw new WrongState(
        'incoming VM "web1"',
        'RESUMED',
        ['PREPARED'],
        'its guest runs, it cannot be aborted',
      );
    });
    const { code, io } = await run({ abortIncoming }, 'abort', 'web1', '--json');
    expect(code).toBe(3);
    expect(io.stdout.json()).toMatchObject({ error: { reason: 'WRONG_STATE' } });
  });

  it('forgets', async () => {
    const { code, io } = await run({ forgetIncoming: unary(() => ({})) }, 'forget', 'web1');
    expect(code).toBe(0);
    expect(io.stdout.text).toBe('web1 is forgotten; its guest goes on as it is\n');
  });
});
