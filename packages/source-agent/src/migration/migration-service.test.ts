import { status } from '@grpc/grpc-js';
import {
  IncomingState,
  LaneKind,
  MigrationState,
  Placement,
  SourceAfter,
  VmRunState,
  type Migration,
} from '@umem/api';
import { AlreadyExists, HostPrecondition, PeerUnavailable } from '@umem/errors';
import { connectQemu, type ProcessGuest } from '@umem/vmm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentLab } from '../testing/agent-lab.js';
import { LanePeer } from '../testing/lane-peer.js';

const { COMPLETED, FAILED, POSTCOPY_ACTIVE, POSTCOPY_DETACHED } = MigrationState;

let lab: AgentLab;
beforeEach(async () => {
  lab = await AgentLab.start();
});
afterEach(() => lab.stop());

/** The guest makes progress from now on. */
async function expectRuns(guest: ProcessGuest): Promise<void> {
  const now = guest.lastTick?.ops ?? 0;
  const tick = await guest.waitForTick(({ ops }) => ops > now);
  expect(tick.mismatches).toBe(0);
  expect((await lab.getVm(guest.name)).runState).toBe(VmRunState.RUNNING);
}

function expectSamePages(vm = 'vm1', blockId = 'ram0'): void {
  const ram = lab.ramOf(vm, blockId);
  for (let pgoff = 0; pgoff < ram.length / 4096; pgoff++) {
    const same = lab.destination.page(blockId, pgoff)?.equals(ram.subarray(pgoff * 4096, (pgoff + 1) * 4096));
    expect(same, `page ${pgoff} of ${blockId}`).toBe(true);
  }
}

/** Stops a step of the destination until it is let go on. */
function hold(step: 'connect' | 'load' | 'resume' | 'resumed'): {
  reached: Promise<void>;
  letGo: () => void;
} {
  let letGo = (): void => {};
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const reached = new Promise<void>((resolve) => {
    lab.destination.script[step] = () => {
      resolve();
      return held;
    };
  });
  return { reached, letGo };
}

describe('a migration', () => {
  test('goes through its states, moves device state and every page, and leaves the source stopped', async () => {
    const guest = await lab.startVm();
    const created = await lab.create();
    expect(created.state).toBe(MigrationState.PREPARING);
    expect(created.stats?.totalPages).toBe(1024n);
    const updates = await lab.watch();
    const done = updates.at(-1);
    expect(done).toMatchObject({ state: COMPLETED, error: '', migrationId: created.migrationId, vm: 'vm1' });
    expect(lab.destination.calls).toEqual([
      'get',
      'preflight',
      'prepare',
      'connect',
      'load',
      'resume',
      'resumed',
    ]);
    const { totalUs, stopUs, deviceStateUs, resumeUs, deviceStateBytes } = done?.downtime ?? {};
    expect(stopUs).toBeGreaterThan(0n);
    expect(totalUs).toBe((stopUs ?? 0n) + (deviceStateUs ?? 0n) + (resumeUs ?? 0n));
    expect(Number(deviceStateBytes)).toBe(lab.destination.deviceStateBytes);
    expect(deviceStateBytes).toBeGreaterThan(0n);
    expect(done?.stats?.remainingPages).toBe(0n);
    expectSamePages();
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED, migrationId: created.migrationId });
    const vmm = await connectQemu(guest.qmpPath);
    expect(await vmm.runState()).toBe('stopped');
    vmm.close();
  });

  test('uses what was prepared on the destination by hand', async () => {
    await lab.startVm();
    lab.destination.prepareByHand('vm1', (await lab.getVm()).blocks);
    await lab.create();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
    expect(lab.destination.calls).toEqual(['get', 'connect', 'load', 'resume', 'resumed']);
  });

  test('moves several blocks, memfds among them', async () => {
    await lab.startVm('vm1', {
      blocks: [
        { id: 'ram0', sizeBytes: 1 << 20 },
        { id: 'dimm1', sizeBytes: 2 << 20 },
      ],
    });
    const { blocks } = await lab.getVm();
    expect(blocks.map(({ blockId }) => blockId).sort()).toEqual(['dimm1', 'ram0']);
    await lab.create();
    expect(await lab.end()).toMatchObject({ state: COMPLETED, stats: { totalPages: 768n } });
    const copies = lab.destination.lanes.map((lane) => lane.pages.size);
    expect(copies.reduce((a, b) => a + b)).toBe(768);
  });

  test('quits the source VMM at the end when that is wanted', async () => {
    const guest = await lab.startVm();
    await lab.create({ sourceAfter: SourceAfter.QUIT });
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
    await guest.exited;
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED });
  });

  test('without background sends only what is demanded', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create({ noBackground: true });
    await lab.until(POSTCOPY_ACTIVE);
    const [demand, background] = lab.destination.lanes;
    demand?.demand('ram0', [0, 1, 2]);
    await demand?.until(() => demand.pages.size === 3);
    demand?.demand(
      'ram0',
      Array.from({ length: 1024 }, (_, i) => i),
    );
    await demand?.eos;
    await background?.eos;
    expect(background?.pages.size).toBe(0);
    lab.destination.finish();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
    expectSamePages();
  });

  test('without background pushes the rest once it is told to finish, as often as it is told', async () => {
    await lab.startVm();
    await lab.create({ noBackground: true });
    await lab.until(POSTCOPY_ACTIVE);
    const [demand, background] = lab.destination.lanes;
    demand?.demand('ram0', [7]);
    await demand?.until(() => demand.pages.size === 1);
    expect(background?.pages.size).toBe(0);
    expect(await lab.finish()).toMatchObject({ options: { noBackground: false } });
    await lab.finish().catch(() => undefined);
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
    expect(background?.pages.size).toBeGreaterThanOrEqual(1023);
    expectSamePages();
    await expect(lab.finish()).rejects.toThrow(/COMPLETED/);
  });

  test('told to finish before the guest has moved has background from the start', async () => {
    await lab.startVm();
    const load = hold('load');
    await lab.create({ noBackground: true });
    await load.reached;
    await lab.finish();
    expect(lab.destination.lanes.map(({ pages }) => pages.size)).toEqual([0, 0]);
    load.letGo();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
    expectSamePages();
  });

  test('changes its rate while it runs', async () => {
    await lab.startVm();
    const created = await lab.create({ maxBandwidthBytesPerSecond: 4096n });
    await lab.until(POSTCOPY_ACTIVE);
    expect(await lab.update({})).toMatchObject({ options: { maxBandwidthBytesPerSecond: 4096n } });
    const updated = await lab.update({ maxBandwidthBytesPerSecond: 64n << 20n });
    expect(updated).toMatchObject({ options: { maxBandwidthBytesPerSecond: 64n << 20n } });
    expect(await lab.end()).toMatchObject({ state: COMPLETED, migrationId: created.migrationId });
    await expect(lab.update({ maxBandwidthBytesPerSecond: 0n })).rejects.toThrow(/COMPLETED/);
  });

  test('refuses a rate that is no number of bytes', async () => {
    await lab.startVm();
    await lab.create({ maxBandwidthBytesPerSecond: 1n << 20n });
    await expect(lab.update({ maxBandwidthBytesPerSecond: 2n ** 60n })).rejects.toThrow(
      /max_bandwidth_bytes_per_second/,
    );
  });

  test('with release_ram frees what the destination has confirmed, and nothing before the guest runs there', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    const resume = hold('resume');
    await lab.create({ releaseRam: true, noBackground: true });
    await resume.reached;
    const [demand] = lab.destination.lanes;
    const before = lab.allocatedBytes();
    demand?.demand('ram0', [0, 1, 2, 3, 4]);
    await demand?.until(() => demand.pages.size === 5);
    demand?.placed('ram0', [0, 4]);
    // Requests of a lane are dealt with in their order: once this is answered, that was seen.
    demand?.demand('ram0', [5]);
    await demand?.until(() => demand.pages.size === 6);
    expect(lab.allocatedBytes()).toBe(before);
    expect(lab.destination.confirmPlaced).toBe(true);
    resume.letGo();
    await expect.poll(() => lab.allocatedBytes()).toBe(before - 4 * 4096);
    await expect(lab.createLaneToken()).rejects.toThrow(/release_ram/);
    demand?.placed('ram0', [0, 1024]);
    await expect.poll(() => lab.allocatedBytes()).toBe(0);
    lab.destination.finish();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
  });

  test('without release_ram keeps what the destination has confirmed', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create({ noBackground: true });
    await lab.until(POSTCOPY_ACTIVE);
    const [demand] = lab.destination.lanes;
    const before = lab.allocatedBytes();
    demand?.placed('ram0', [0, 1024]);
    demand?.demand('ram0', [5]);
    await demand?.until(() => demand.pages.size === 1);
    expect(lab.allocatedBytes()).toBe(before);
    expect(lab.destination.confirmPlaced).toBe(false);
    lab.destination.finish();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
  });

  test('says to the destination how pages shall be placed', async () => {
    await lab.startVm();
    await lab.create({ placement: Placement.CACHE, postcopyFlags: 1 });
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
    expect(lab.destination.intake).toEqual({ placement: Placement.CACHE, postcopyFlags: 1 });
  });

  test('goes on when the source VMM dies after the switch', async () => {
    const guest = await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create({ maxBandwidthBytesPerSecond: 1n << 20n });
    await lab.until(POSTCOPY_ACTIVE);
    await guest.kill();
    const { lanes } = lab.destination;
    lanes[0]?.demand('ram0', [1000]);
    await lanes[0]?.until(() => lanes[0]?.pages.size === 1);
    lab.destination.finish();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
  });

  test('is detached while the page server has no lane, and active again when one is back', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create({ maxBandwidthBytesPerSecond: 1n << 20n });
    await lab.until(POSTCOPY_ACTIVE);
    lab.destination.closeLanes();
    expect(await lab.until(POSTCOPY_DETACHED)).toMatchObject({
      activity: expect.stringContaining('link is lost') as string,
    });
    await lab.destination.connectLanes();
    await lab.until(POSTCOPY_ACTIVE);
    lab.destination.finish();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
  });

  test('completes with EOC alone when the destination-agent is gone', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create();
    await lab.until(POSTCOPY_ACTIVE);
    lab.destination.change({ stats: lab.destination.stats(7) });
    await lab.watch((update) => update.stats?.remainingPages === 7n);
    lab.destination.unlisten();
    lab.destination.finish({ report: false });
    expect(await lab.end()).toMatchObject({ state: COMPLETED, stats: { remainingPages: 7n } });
  });

  test('tells how long it will take', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create({ noBackground: true });
    await lab.until(POSTCOPY_ACTIVE);
    let remaining = 1000;
    const timer = setInterval(
      () => lab.destination.change({ stats: lab.destination.stats((remaining -= 20)) }),
      50,
    );
    const last = (await lab.watch((update) => update.estimatedRemainingUs !== undefined)).at(-1);
    clearInterval(timer);
    expect(last?.estimatedRemainingUs).toBeGreaterThan(100_000n);
    expect(last?.estimatedRemainingUs).toBeLessThan(60_000_000n);
    lab.destination.finish();
    await lab.end();
  });
});

describe('before the point of no return', () => {
  test.each(['get', 'preflight', 'prepare', 'connect', 'load'] as const)(
    'a destination that fails at %s leaves the guest running on the source',
    async (step) => {
      const guest = await lab.startVm();
      lab.destination.script[step] = () => {
        throw new HostPrecondition(`The ${step} went wrong: 42 is missing`);
      };
      await lab.create();
      const end = await lab.end();
      expect(end).toMatchObject({ state: FAILED, guestRecoverable: true, errorReason: 'HOST_PRECONDITION' });
      expect(end.error).toContain('42 is missing');
      expect(end.error).toContain('goes on as before on the source');
      expect(lab.destination.calls.includes('abort')).toBe(['prepare', 'connect', 'load'].includes(step));
      for (const lane of lab.destination.lanes) await lane.ended;
      await expectRuns(guest);
      delete lab.destination.script[step];
      await lab.create();
      expect(await lab.end()).toMatchObject({ state: COMPLETED });
    },
  );

  test('a failed preflight names the check and its fix', async () => {
    await lab.startVm();
    lab.destination.script.preflight = () => {
      throw new HostPrecondition('ram-space: 1 MiB free; free some');
    };
    await lab.create();
    expect((await lab.end()).error).toContain('ram-space: 1 MiB free; free some');
  });

  test('a destination that cannot be reached fails it at once', async () => {
    const guest = await lab.startVm();
    await lab.create({}, { destinationAddress: '127.0.0.1:1' });
    const end = await lab.end();
    expect(end).toMatchObject({ state: FAILED, guestRecoverable: true, errorReason: 'PEER_UNAVAILABLE' });
    expect(end.error).toContain('127.0.0.1:1');
    await expectRuns(guest);
  });

  test.each(['connect', 'load'] as const)(
    'cancelling at %s returns when the source guest runs',
    async (step) => {
      const guest = await lab.startVm();
      const { reached, letGo } = hold(step);
      await lab.create();
      await reached;
      const cancelled = await lab.cancel();
      letGo();
      expect(cancelled).toMatchObject({ state: FAILED, errorReason: 'CANCELLED', guestRecoverable: true });
      expect((await lab.getVm()).runState).toBe(VmRunState.RUNNING);
      await expectRuns(guest);
      await lab.destination.aborted;
      expect(await lab.cancel()).toMatchObject({ state: FAILED, errorReason: 'CANCELLED' });
    },
  );

  test('it is cancelled when the time is up', async () => {
    const guest = await lab.startVm();
    const { letGo } = hold('connect');
    await lab.create({ timeoutSeconds: 1 });
    const end = await lab.end();
    letGo();
    expect(end).toMatchObject({ state: FAILED, errorReason: 'TIMEOUT', guestRecoverable: true });
    expect(end.error).toContain('1 s');
    await expectRuns(guest);
  });

  test('it fails when the source VMM dies', async () => {
    const guest = await lab.startVm();
    const { reached, letGo } = hold('connect');
    await lab.create();
    await reached;
    await guest.kill();
    const end = await lab.end();
    letGo();
    expect(end).toMatchObject({ state: FAILED, errorReason: 'SOURCE_VMM_LOST' });
    await lab.destination.aborted;
  });

  test('it fails when the destination fails while it waits', async () => {
    const guest = await lab.startVm();
    const { reached, letGo } = hold('load');
    await lab.create();
    await reached;
    lab.destination.change({ state: IncomingState.FAILED, error: 'The VMM died' });
    const end = await lab.end();
    letGo();
    expect(end).toMatchObject({ state: FAILED, errorReason: 'DESTINATION_FAILED', guestRecoverable: true });
    await expectRuns(guest);
  });

  test('a guest that its owner paused is not moved and stays paused', async () => {
    await lab.startVm('vm1', { paused: true });
    await lab.create();
    expect(await lab.end()).toMatchObject({ state: FAILED, errorReason: 'GUEST_NOT_RUNNING' });
    expect((await lab.getVm()).runState).toBe(VmRunState.STOPPED);
    expect(lab.destination.calls).toEqual([]);
  });

  test('a destination that has an old incoming VM of that name is left alone', async () => {
    await lab.startVm();
    lab.destination.prepareByHand('vm1', []);
    lab.destination.change({ state: IncomingState.COMPLETED });
    lab.destination.script.prepare = () => {
      throw new AlreadyExists('"vm1" is COMPLETED and its VMM lives');
    };
    await lab.create();
    expect((await lab.end()).error).toContain('COMPLETED and its VMM lives');
    expect(lab.destination.calls).not.toContain('abort');
  });

  test('stopping the agent undoes it', async () => {
    const guest = await lab.startVm();
    const { reached } = hold('load');
    await lab.create();
    await reached;
    await lab.stopAgent();
    const stopped = guest.lastTick?.ops ?? 0;
    await guest.waitForTick(({ ops }) => ops > stopped);
    await lab.startAgent();
    expect(await lab.getMigration()).toMatchObject({ state: FAILED, errorReason: 'AGENT_STOPPING' });
    await expectRuns(guest);
  });
});

describe('after the point of no return', () => {
  test('a lost answer of Resume is found out, and the source never runs', async () => {
    await lab.startVm();
    lab.destination.script.resumed = () => {
      throw new PeerUnavailable('The answer got lost');
    };
    await lab.create();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
    expect(lab.destination.calls.filter((step) => step === 'get')).toHaveLength(2);
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED });
  });

  test('Resume is sent again when it did not arrive', async () => {
    await lab.startVm();
    let first = true;
    lab.destination.script.resume = () => {
      if (!first) return;
      first = false;
      throw new PeerUnavailable('The request got lost');
    };
    await lab.create();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
  });

  test('a destination that gave the guest up before it ran gives it back to the source', async () => {
    await lab.startVm();
    lab.destination.script.resume = () => {
      lab.destination.change({ state: IncomingState.FAILED, error: 'cont failed', guestRecoverable: true });
      throw new HostPrecondition('cont failed');
    };
    await lab.create();
    const end = await lab.end();
    expect(end).toMatchObject({ state: FAILED, errorReason: 'RESUME_REFUSED', guestRecoverable: true });
    expect(end.error).toContain('cont failed');
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.RUNNING });
  });

  test('a destination that keeps refusing is told to give the guest up, and the source runs it again', async () => {
    await lab.startVm();
    lab.destination.script.resume = () => {
      throw new HostPrecondition('not now');
    };
    await lab.create();
    expect(await lab.end()).toMatchObject({
      state: FAILED,
      errorReason: 'RESUME_REFUSED',
      guestRecoverable: true,
    });
    expect(lab.destination.calls).toContain('abort');
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.RUNNING });
  });

  test('a guest that may have run on the destination never runs on the source again', async () => {
    await lab.startVm();
    lab.destination.script.resume = () => {
      lab.destination.change({ state: IncomingState.FAILED, error: 'cont failed', guestRecoverable: false });
      throw new HostPrecondition('cont failed');
    };
    await lab.create();
    const end = await lab.end();
    expect(end).toMatchObject({ state: FAILED, errorReason: 'RESUME_FAILED', guestRecoverable: false });
    expect(end.error).toContain('cont failed');
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED });
    expect(lab.destination.calls).not.toContain('abort');
  });

  test('it cannot be cancelled', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create({ noBackground: true });
    await lab.until(POSTCOPY_ACTIVE);
    await expect(lab.cancel()).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      message: expect.stringContaining('runs on the destination') as string,
    });
    lab.destination.finish();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
    await expect(lab.cancel()).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
  });

  test('it cannot be cancelled while Resume is under way', async () => {
    await lab.startVm();
    const { reached, letGo } = hold('resume');
    await lab.create();
    await reached;
    await expect(lab.cancel()).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    letGo();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
  });

  test('a destination that loses pages ends it with their number, and the source stays stopped', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create({ noBackground: true });
    await lab.until(POSTCOPY_ACTIVE);
    lab.destination.change({
      state: IncomingState.FAILED,
      error: 'no source',
      stats: lab.destination.stats(321),
    });
    const end = await lab.end();
    expect(end).toMatchObject({ state: FAILED, guestRecoverable: false, errorReason: 'DESTINATION_FAILED' });
    expect(end.error).toContain('321 pages');
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED });
  });

  test('a VM that has moved is not moved again', async () => {
    await lab.startVm();
    await lab.create();
    await lab.end();
    await expect(lab.create()).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      current: 'MOVED',
      message: expect.stringContaining(lab.destination.address) as string,
    });
    await lab.stopAgent();
    await lab.startAgent();
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED });
    await expect(lab.create()).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
  });
});

describe('CreateMigration', () => {
  test.each<[string, Parameters<AgentLab['create']>, status, string]>([
    ['an unknown VM', [{}, { vm: 'other' }], status.NOT_FOUND, 'other'],
    ['a VM name that is none', [{}, { vm: '../x' }], status.INVALID_ARGUMENT, '../x'],
    [
      'a destination that is no address',
      [{}, { destinationAddress: 'host' }],
      status.INVALID_ARGUMENT,
      '"host"',
    ],
    ['a source address that is none', [{}, { sourceAddress: 'host' }], status.INVALID_ARGUMENT, '"host"'],
    [
      'a source address nobody can dial',
      [{}, { sourceAddress: '0.0.0.0:1' }],
      status.INVALID_ARGUMENT,
      '0.0.0.0:1',
    ],
    ['a command', [{}, { destinationAddress: 'exec:sh' }], status.UNIMPLEMENTED, 'exec:'],
    ['a profile that is none', [{}, { profile: '/etc/passwd' }], status.INVALID_ARGUMENT, '/etc/passwd'],
    ['a long request id', [{}, { requestId: 'x'.repeat(200) }], status.INVALID_ARGUMENT, '200'],
    ['unknown postcopy flags', [{ postcopyFlags: 2 }], status.INVALID_ARGUMENT, 'postcopy_flags'],
    ['touching requests with placement copy', [{ postcopyFlags: 1 }], status.INVALID_ARGUMENT, 'CACHE'],
    ['an unknown placement', [{ placement: 7 as Placement }], status.INVALID_ARGUMENT, 'placement'],
    [
      'an unknown source_after',
      [{ sourceAfter: SourceAfter.UNRECOGNIZED }],
      status.INVALID_ARGUMENT,
      'source_after',
    ],
    ['a timeout of two days', [{ timeoutSeconds: 172_800 }], status.INVALID_ARGUMENT, 'timeout_seconds'],
  ])('refuses %s', async (_, args, code, fact) => {
    await lab.startVm();
    await expect(lab.create(...args)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(fact) as string,
    });
    expect((await lab.getVm()).migrationId).toBe('');
  });

  test('answers a repeated request with the migration it created, also after a restart', async () => {
    await lab.startVm();
    const more = { requestId: 'b6c7' };
    const [first, second] = await Promise.all([lab.create({}, more), lab.create({}, more)]);
    expect(second.migrationId).toBe(first.migrationId);
    await lab.end();
    await lab.stopAgent();
    await lab.startAgent();
    expect(await lab.create({}, more)).toMatchObject({ migrationId: first.migrationId, state: COMPLETED });
  });

  test('refuses a second migration of the same VM, and unregistering it meanwhile', async () => {
    await lab.startVm();
    const { reached, letGo } = hold('connect');
    const { migrationId } = await lab.create();
    await reached;
    await expect(lab.create()).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      current: 'MIGRATING',
      message: expect.stringContaining(migrationId) as string,
    });
    letGo();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
  });
});

describe('CreateLaneToken', () => {
  test('lets another page server pull the guest, without the destination noticing', async () => {
    await lab.startVm();
    lab.destination.autoFinish = false;
    await lab.create({ noBackground: true });
    await lab.until(POSTCOPY_ACTIVE);
    const { migrationId, token } = await new Promise<{ migrationId: string; token: string }>(
      (resolve, reject) => {
        lab.migrations.createLaneToken({ migration: 'vm1' }, (error, answer) =>
          error ? reject(error) : resolve(answer),
        );
      },
    );
    const lane = new LanePeer(lab.agent?.address ?? '', token);
    const blocks = [{ blockId: 'ram0', sizeBytes: 4 << 20, hostPageSizeBytes: 4096 }];
    lane.init(migrationId, LaneKind.BACKGROUND, blocks);
    await lane.eos;
    expect(lane.pages.size).toBe(1024);
    lane.eoc();
    expect((await lane.ended).code).toBe(status.OK);
    lane.close();
    expect(await lab.getMigration()).toMatchObject({ state: POSTCOPY_ACTIVE });
    lab.destination.finish();
    expect(await lab.end()).toMatchObject({ state: COMPLETED });
  });
});

describe('looking at migrations', () => {
  test('lists them newest first, page by page', async () => {
    const ids: string[] = [];
    await lab.startVm();
    lab.destination.script.preflight = () => {
      throw new HostPrecondition('no');
    };
    for (let i = 0; i < 5; i++) {
      ids.unshift((await lab.create()).migrationId);
      await lab.end();
    }
    const list = (
      pageSize: number,
      pageToken: string,
    ): Promise<{ migrations: Migration[]; nextPageToken: string }> =>
      new Promise((resolve, reject) => {
        lab.migrations.listMigrations({ pageSize, pageToken }, (error, answer) =>
          error ? reject(error) : resolve(answer),
        );
      });
    const first = await list(2, '');
    const second = await list(2, first.nextPageToken);
    const third = await list(2, second.nextPageToken);
    expect(
      [first, second, third].flatMap(({ migrations }) => migrations.map((one) => one.migrationId)),
    ).toEqual(ids);
    expect(third.nextPageToken).toBe('');
    expect((await list(0, '')).migrations).toHaveLength(5);
    await expect(list(1, 'bad')).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await expect(list(1001, '')).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test('of something unknown is NOT_FOUND, also in a watch', async () => {
    await expect(lab.getMigration('mig-x')).rejects.toMatchObject({ code: status.NOT_FOUND });
    await expect(lab.watch(undefined, 'mig-x')).rejects.toMatchObject({ code: status.NOT_FOUND });
    await expect(lab.cancel('mig-x')).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});
