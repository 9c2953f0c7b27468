import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { LaneKind, UmemState, type LaneTarget } from '@umem/api';
import {
  HostPrecondition,
  InvalidArgument,
  PeerUnavailable,
  PermissionDenied,
  Unimplemented,
} from '@umem/errors';
import { describe, expect, onTestFinished, test } from 'vitest';
import { inheritConnection } from '../testing/inherited.js';
import { Fixture, type VmmSide } from '../testing/page-server-fixture.js';
import type { SourceLane, TestSource } from '../testing/test-source.js';

const MiB = 1 << 20;

function fixtureOf(blocks: Record<string, number>): Fixture {
  const fixture = new Fixture(blocks);
  onTestFinished(() => fixture.close());
  return fixture;
}

/** Lanes over descriptors, the first for demand. */
function over(fds: readonly number[]): LaneTarget {
  const [demandAddress = '', ...backgroundAddresses] = fds.map((fd) => `fd:${fd}`);
  return { migrationId: 'mig-1', token: 'dG9rZW4', demandAddress, backgroundAddresses };
}

/** A page server that was started with `count` connections to a source. */
async function startWithLanes(
  count: number,
  blocks: Record<string, number> = { ram0: 4 * MiB },
): Promise<{ fixture: Fixture; source: TestSource; fds: number[] }> {
  const fixture = fixtureOf(blocks);
  const source = await fixture.source();
  const fds = await Promise.all(Array.from({ length: count }, () => inheritConnection(source.address)));
  await fixture.start({ laneFds: fds });
  return { fixture, source, fds };
}

/** Pushes everything on each background lane. */
async function push(source: TestSource, count: number): Promise<void> {
  for (let i = 1; i <= count; i++) {
    const lane: SourceLane = await source.lane(LaneKind.BACKGROUND, i);
    void source.push(lane);
  }
}

test('a whole VM arrives over descriptors, demand and background each over one of its own', async () => {
  const { fixture, source, fds } = await startWithLanes(3, { ram0: 8 * MiB, ram1: MiB });
  const side = await fixture.armWith(over(fds));
  expect(await fixture.vmm.read('ram1', 9)).toBe(fixture.ram.get('ram1')?.[9 * 4096]);
  await push(source, 2);
  await side.hear('quit');
  side.say({ $case: 'quit', value: {} });
  const { stats } = await fixture.until(({ state }) => state === UmemState.RELEASED);
  expect(stats).toMatchObject({ demandPages: 1n, remainingPages: 0n, recoveries: 0n });
  expect(fixture.differences()).toEqual([]);
});

test('descriptors and addresses go together in one target', async () => {
  const { fixture, source, fds } = await startWithLanes(1);
  const side = await fixture.armWith({ ...over(fds), backgroundAddresses: [source.address] });
  await push(source, 1);
  await side.hear('quit');
  expect(fixture.differences()).toEqual([]);
});

test.each(['fd:0', 'fd:1', 'fd:2', 'fd:2147483647'])(
  'a target that names %s is refused, for nobody has given that descriptor',
  async (demandAddress) => {
    const { fixture, fds } = await startWithLanes(1);
    await fixture.create();
    const refused = fixture.connect({ ...over(fds), demandAddress });
    await expect(refused).rejects.toThrow(PermissionDenied);
    await expect(refused).rejects.toThrow(`${demandAddress} is not for lanes here: only descriptors`);
    const second = fixture.connect({ ...over(fds), backgroundAddresses: [demandAddress] });
    await expect(second).rejects.toThrow(PermissionDenied);
  },
);

test.each([
  ['fd:', InvalidArgument, 'must be fd:N'],
  ['fd:-1', InvalidArgument, 'must be fd:N'],
  ['fd:0x3', InvalidArgument, 'must be fd:N'],
  ['fd:2147483648', InvalidArgument, '0 to 2147483647'],
  ['fd:99999999999999999999', InvalidArgument, 'must be fd:N'],
  ['exec:nc host 1', Unimplemented, 'a command that comes in a request'],
])('a target that names %s is refused', async (demandAddress, error, words) => {
  const { fixture } = await startWithLanes(0);
  await fixture.create();
  const refused = fixture.connect({ ...over([]), demandAddress });
  await expect(refused).rejects.toThrow(error);
  await expect(refused).rejects.toThrow(words);
});

test('one descriptor for two lanes is refused, and neither lane takes it', async () => {
  const { fixture, fds } = await startWithLanes(1);
  await fixture.create();
  const twice = fixture.connect(over([...fds, ...fds]));
  await expect(twice).rejects.toThrow(InvalidArgument);
  await expect(twice).rejects.toThrow('named for two lanes');
  await fixture.connect(over(fds));
});

test('a descriptor that a lane has used is refused from then on', async () => {
  const { fixture, source, fds } = await startWithLanes(1);
  source.behaviour.accept = () => ({ code: 5, details: 'no such migration' });
  await fixture.create();
  await expect(fixture.connect(over(fds))).rejects.toThrow('no such migration');
  const again = fixture.connect(over(fds));
  await expect(again).rejects.toThrow(HostPrecondition);
  await expect(again).rejects.toThrow(/has been used: a descriptor is one connection/);
});

test('a descriptor whose other end hung up before it was used is refused, with what to do', async () => {
  const far: Socket[] = [];
  const server = createServer((socket) => far.push(socket)).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const fd = await inheritConnection(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  const fixture = await fixtureOf({ ram0: MiB }).start({ laneFds: [fd] });
  await fixture.create();
  if (far.length === 0) await once(server, 'connection');
  far[0]?.destroy();
  await expect
    .poll(() => fixture.connect(over([fd])).catch((error: unknown) => error))
    .toMatchObject({
      message: expect.stringMatching(/fd:\d+ (receives nothing|is a connection that has ended)/),
    });
});

test('a page server that is started with something else than a connection does not start', async () => {
  const file = openSync('/dev/null', 'r');
  onTestFinished(() => closeSync(file));
  const start = fixtureOf({ ram0: MiB }).start({ laneFds: [file] });
  await expect(start).rejects.toThrow(HostPrecondition);
  await expect(start).rejects.toThrow(`--lane-fds cannot be used: descriptor ${file} is no socket`);
  await expect(fixtureOf({ ram0: MiB }).start({ laneFds: [0] })).rejects.toThrow(/standard input/);
  await expect(fixtureOf({ ram0: MiB }).start({ laneFds: ['x'] })).rejects.toThrow(/"x" is not a descriptor/);
});

test('lanes over descriptors that are lost stay lost, and faults wait', async () => {
  const { fixture, source, fds } = await startWithLanes(2);
  await fixture.armWith(over(fds));
  const opened = source.lanes.length;
  source.kill();
  await fixture.until(({ state }) => state === UmemState.DETACHED);
  // It waits as long as the guest lives.
  fixture.vmm.read('ram0', 5).catch(() => {});
  const { stats } = await fixture.until(({ stats }) => stats?.faults === 1n);
  expect(stats).toMatchObject({ recoveries: 0n, remainingPages: 1024n });
  expect((await fixture.get()).state).toBe(UmemState.DETACHED);
  expect(source.lanes).toHaveLength(opened);
});

test('a lane over a descriptor that is lost before the guest is armed fails the set', async () => {
  const { fixture, source, fds } = await startWithLanes(1);
  await fixture.create();
  await fixture.connect(over(fds));
  source.kill();
  const { error } = await fixture.until(({ state }) => state === UmemState.FAILED);
  expect(error).toContain('before the guest was armed');
});

describe('after lanes over descriptors were lost', () => {
  /** A set that has some of its pages and has lost its lanes for good. */
  async function strand(): Promise<{ fixture: Fixture; source: TestSource; side: VmmSide }> {
    const { fixture, source, fds } = await startWithLanes(2);
    const side = await fixture.armWith(over(fds));
    const lane = await source.lane(LaneKind.BACKGROUND);
    source.sendPages(lane, 'ram0', 0, 64);
    await fixture.until(({ stats }) => stats?.remainingPages === 960n);
    source.kill();
    await fixture.until(({ state }) => state === UmemState.DETACHED);
    return { fixture, source, side };
  }

  test.each([1, 3])(
    'another source address with %i background lanes brings what is missing',
    async (lanes) => {
      const { fixture, side } = await strand();
      const read = fixture.vmm.read('ram0', 100);
      const source = await fixture.source();
      await fixture.connect({ ...fixture.target(source, lanes), token: '' });
      expect(await read).toBe(fixture.ram.get('ram0')?.[100 * 4096]);
      const demand = await source.lane(LaneKind.DEMAND);
      expect(demand.token).toBe('dG9rZW4');
      expect(demand.init.generation).toBe(2n);
      expect(demand.init.received).toMatchObject([{ blockId: 'ram0' }]);
      await push(source, lanes);
      await side.hear('quit');
      const { stats } = await fixture.get();
      expect(stats).toMatchObject({ recoveries: 1n, remainingPages: 0n });
      expect(fixture.differences()).toEqual([]);
    },
  );

  test('a source address that leads nowhere or to another migration leaves it as it was', async () => {
    const { fixture, source } = await strand();
    await expect(fixture.connect(fixture.target(source, 1))).rejects.toThrow(PeerUnavailable);
    const other = { ...fixture.target(await fixture.source(), 1), migrationId: 'mig-2' };
    await expect(fixture.connect(other)).rejects.toThrow('target.migration_id is mig-2');
    expect(await fixture.get()).toMatchObject({ state: UmemState.DETACHED, migrationId: 'mig-1' });
    await fixture.connect({ ...other, migrationId: 'mig-1' });
    expect((await fixture.get()).state).toBe(UmemState.ARMED);
  });
});
