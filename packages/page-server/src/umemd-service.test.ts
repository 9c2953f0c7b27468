import { readdirSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { call, UmemState, type RamBlockMessage } from '@umem/api';
import {
  AlreadyExists,
  HostPrecondition,
  InvalidArgument,
  NotFound,
  Overloaded,
  PeerUnavailable,
  WrongState,
} from '@umem/errors';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { GuestMemory } from './session/guest-memory.js';
import { Fixture } from './testing/page-server-fixture.js';

const MiB = 1 << 20;
const PEER = { peer: 'page-server' };

async function start(blocks: Record<string, number> = { ram0: MiB }, settings = {}): Promise<Fixture> {
  const fixture = new Fixture(blocks);
  onTestFinished(() => fixture.close());
  return fixture.start(settings);
}

function create(
  fixture: Fixture,
  name: string,
  blocks: RamBlockMessage[] = fixture.blocks,
): Promise<unknown> {
  return call(fixture.client, fixture.client.createUmem, { ...fixture.createRequest(name), blocks }, PEER);
}

describe('CreateUmem', () => {
  test('answers with the socket, and the set is listed by name', async () => {
    const fixture = await start();
    await fixture.create('b');
    const umem = await fixture.create('a');
    expect(umem).toMatchObject({
      name: 'a',
      state: UmemState.AWAITING_HANDOFF,
      lanesConnected: false,
      migrationId: '',
    });
    expect(umem.handoffSocketPath).toMatch(/\/state\/umem\/a\/handoff\.sock$/);
    const { umems } = await call(fixture.client, fixture.client.listUmems, {}, PEER);
    expect(umems.map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('refuses a name that is taken, and names that are paths', async () => {
    const fixture = await start();
    await fixture.create();
    await expect(fixture.create()).rejects.toThrow(AlreadyExists);
    for (const name of ['', '..', 'a/b', '-a', 'x'.repeat(64)])
      await expect(create(fixture, name)).rejects.toThrow(InvalidArgument);
  });

  test('refuses blocks that cannot be RAM, and host pages that are not served', async () => {
    const fixture = await start();
    const block = { blockId: 'ram0', sizeBytes: 8192n, hostPageSizeBytes: 4096n };
    await expect(create(fixture, 'a', [])).rejects.toThrow(InvalidArgument);
    await expect(create(fixture, 'a', [{ ...block, sizeBytes: 4097n }])).rejects.toThrow(InvalidArgument);
    await expect(create(fixture, 'a', [block, block])).rejects.toThrow(/twice/);
    const huge = { blockId: 'ram0', sizeBytes: 1n << 30n, hostPageSizeBytes: 1n << 30n };
    await expect(create(fixture, 'a', [huge])).rejects.toThrow(HostPrecondition);
  });

  test('refuses more sets and more RAM than the limits allow', async () => {
    const fixture = await start({ ram0: MiB }, { maxUmems: 2, maxRam: '3MiB' });
    await create(fixture, 'a');
    const twoMiB = [{ blockId: 'ram0', sizeBytes: 2n << 20n, hostPageSizeBytes: 4096n }];
    await expect(
      create(fixture, 'b', [...twoMiB, { ...twoMiB[0], blockId: 'ram1' } as RamBlockMessage]),
    ).rejects.toThrow(/--max-ram 3 MiB/);
    await create(fixture, 'b', twoMiB);
    await expect(create(fixture, 'c')).rejects.toThrow(Overloaded);
    await fixture.delete(false, 'a');
    await create(fixture, 'c');
  });
});

describe('ConnectUmem', () => {
  test('answers a refusal with the words of the source, and may then be called again', async () => {
    const fixture = await start();
    await fixture.create();
    const source = await fixture.source();
    source.behaviour.accept = () => ({
      code: status.PERMISSION_DENIED,
      details: 'This is not the token of mig-1',
    });
    const refused = fixture.connect(fixture.target(source, 1));
    await expect(refused).rejects.toThrow(HostPrecondition);
    await expect(refused).rejects.toThrow(/This is not the token of mig-1/);
    source.behaviour.accept = () => true;
    const umem = await fixture.connect(fixture.target(source, 1));
    expect(umem).toMatchObject({
      lanesConnected: true,
      migrationId: 'mig-1',
      state: UmemState.AWAITING_HANDOFF,
    });
    expect(source.lanes.map(({ token }) => token)).toEqual(['dG9rZW4', 'dG9rZW4']);
    await expect(fixture.connect(fixture.target(source, 1))).rejects.toThrow(/is connected/);
  });

  test('refuses as a whole when one of its background lanes is refused', async () => {
    const fixture = await start();
    await fixture.create();
    const source = await fixture.source();
    const other = await fixture.source();
    other.behaviour.accept = () => ({ code: status.RESOURCE_EXHAUSTED, details: 'too many lanes' });
    const target = { ...fixture.target(source, 0), backgroundAddresses: [source.address, other.address] };
    await expect(fixture.connect(target)).rejects.toThrow(/background lane 1: too many lanes/);
    for (const lane of source.lanes) await lane.until(() => lane.ended);
    expect((await fixture.get()).lanesConnected).toBe(false);
  });

  test('answers UNAVAILABLE when nobody listens, and when nobody answers INIT', async () => {
    const fixture = await start({ ram0: MiB }, { connectTimeout: '200ms' });
    await fixture.create();
    const source = await fixture.source();
    const target = fixture.target(source, 1);
    source.behaviour.accept = () => false;
    await expect(fixture.connect(target)).rejects.toThrow(PeerUnavailable);
    source.kill();
    await expect(fixture.connect(target)).rejects.toThrow(PeerUnavailable);
  });

  test('refuses targets that say nothing', async () => {
    const fixture = await start({ ram0: MiB }, { maxBackgroundLanes: 2 });
    await fixture.create();
    const source = await fixture.source();
    const target = fixture.target(source, 1);
    for (const wrong of [
      { migrationId: '' },
      { token: '' },
      { demandAddress: 'x' },
      { backgroundAddresses: ['y'] },
    ])
      await expect(fixture.connect({ ...target, ...wrong })).rejects.toThrow(InvalidArgument);
    await expect(fixture.connect(fixture.target(source, 3))).rejects.toThrow(/--max-background-lanes is 2/);
    await expect(fixture.connect(target, 'nobody')).rejects.toThrow(NotFound);
  });

  test('sends every block and no received pages in the first INIT', async () => {
    const fixture = await start({ ram0: MiB, ram1: 2 * MiB });
    await fixture.create();
    const source = await fixture.source();
    await fixture.connect(fixture.target(source, 1));
    for (const { init } of source.lanes)
      expect(init).toMatchObject({
        migrationId: 'mig-1',
        targetPageSizeBytes: 4096,
        blocks: fixture.blocks,
        received: [],
        generation: 1n,
      });
  });
});

describe('Control', () => {
  test('refuses a second stream, an unknown set and a stream that does not begin with ATTACH', async () => {
    const fixture = await start();
    await fixture.create();
    const first = fixture.attach();
    const second = fixture.attach();
    await second.ended();
    expect(second.error).toMatchObject({ code: status.ALREADY_EXISTS });
    const unknown = fixture.attach('nobody');
    await unknown.ended();
    expect(unknown.error).toMatchObject({ code: status.NOT_FOUND });
    const silent = fixture.attachWith({ umem: 'vm1', command: { $case: 'quit', value: {} } });
    await silent.ended();
    expect(silent.error).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(first.over).toBe(false);
  });

  test('refuses READY before every block is handed over, and without lanes; that fails the set', async () => {
    const fixture = await start();
    await fixture.create();
    const early = fixture.attach();
    early.ready();
    await early.ended();
    expect(early.error).toMatchObject({ code: status.FAILED_PRECONDITION });
    const { error, state } = await fixture.until(({ state }) => state === UmemState.FAILED);
    expect(state).toBe(UmemState.FAILED);
    expect(error).toContain('left before the guest was armed');
  });

  test('that breaks before the set is armed fails it', async () => {
    const fixture = await start();
    await fixture.create();
    const side = fixture.attach();
    side.ready();
    side.hangUp();
    await fixture.until(({ state }) => state === UmemState.FAILED);
  });

  test('that breaks after the set was armed is waited for, and told where the set stands', async () => {
    const fixture = await start({ ram0: 16 * 4096 });
    const { source, side } = await fixture.arm(0);
    side.hangUp();
    expect(await fixture.vmm.read('ram0', 1)).toBe(fixture.ram.get('ram0')?.[4096]);
    let again = fixture.attach();
    while (again.told.length === 0) {
      // The server may not have noticed yet that the first stream is gone.
      await Promise.race([again.hear('ready', UmemState.ARMED).catch(() => {}), again.ended()]);
      if (again.over) again = fixture.attach();
    }
    expect(again.told).toEqual([{ $case: 'ready', value: { state: UmemState.ARMED } }]);
    for (let page = 0; page < 16; page++) await fixture.vmm.read('ram0', page);
    await again.hear('quit');
    expect(source.lanes).toHaveLength(1);
  });

  test('ends with the field that is wrong when the VMM side says something that makes no sense', async () => {
    const fixture = await start();
    const { side } = await fixture.arm(0);
    side.say({ $case: 'pageUnmapped', value: { blockId: 'ram0', pgoffs: [256] } });
    await side.ended();
    expect(side.error).toMatchObject({ code: status.OUT_OF_RANGE });
    expect((await fixture.get()).state).toBe(UmemState.ARMED);
  });
});

describe('DeleteUmem', () => {
  test('of a set that was never armed closes its socket and its lanes; again it is NOT_FOUND', async () => {
    const fixture = await start();
    const { handoffSocketPath } = await fixture.create();
    const source = await fixture.source();
    await fixture.connect(fixture.target(source, 1));
    await fixture.handOver(handoffSocketPath);
    await fixture.delete();
    for (const lane of source.lanes) await lane.until(() => lane.ended);
    expect(await fixture.vmm.read('ram0', 1)).toBe(0);
    await expect(fixture.delete()).rejects.toThrow(NotFound);
    await fixture.create();
  });

  test('goes well when the VMM exits while its memory is let go', async () => {
    const fixture = await start();
    const { handoffSocketPath } = await fixture.create();
    await fixture.handOver(handoffSocketPath);
    const unregister = Reflect.get(GuestMemory.prototype, 'unregister');
    const spy = vi.spyOn(GuestMemory.prototype, 'unregister');
    onTestFinished(() => spy.mockRestore());
    spy.mockImplementationOnce(async function (this: GuestMemory) {
      await fixture.vmm.close();
      await unregister.call(this);
    });
    await fixture.delete();
    expect(spy).toHaveBeenCalledOnce();
    await expect(fixture.delete()).rejects.toThrow(NotFound);
  });

  test('of an armed set is refused, unless the guest never ran or its VMM is gone', async () => {
    const fixture = await start();
    await fixture.arm(0);
    await expect(fixture.delete()).rejects.toThrow(WrongState);
    await fixture.delete(true);

    const other = await start();
    await other.arm(0);
    await other.vmm.close();
    await other.delete();
  });
});

describe('the page server', () => {
  test('notices that the VMM has exited, fails the set and frees what it held', async () => {
    const fixture = await start();
    const { side } = await fixture.arm(1);
    await fixture.vmm.close();
    const { value } = await side.hear('error');
    expect(value.message).toContain('The VMM has exited');
    expect((await fixture.get()).state).toBe(UmemState.FAILED);
    await fixture.delete();
  });

  test("gives a released set's name to a new one", async () => {
    const fixture = await start({ ram0: 4 * 4096 });
    const { source } = await fixture.arm(0);
    for (let page = 0; page < 4; page++) await fixture.vmm.read('ram0', page);
    await fixture.until(({ state }) => state === UmemState.RELEASED);
    expect(source.lanes).toHaveLength(1);
    expect((await fixture.create()).state).toBe(UmemState.AWAITING_HANDOFF);
  });

  test('has no more descriptors open after sets came and went than before', async () => {
    const fixture = await start({ ram0: 16 * 4096 });
    const count = (): number => readdirSync('/proc/self/fd').length;
    const round = async (name: string): Promise<void> => {
      const { handoffSocketPath } = await fixture.create(name);
      await fixture.vmm.send(handoffSocketPath, '[]', ['pipe', 'pipe', 'pipe']);
      await fixture.vmm.send(handoffSocketPath, '[{}]', ['pipe']);
      await fixture.delete(false, name);
    };
    await round('warm');
    const before = count();
    for (let i = 0; i < 10; i++) await round(`vm-${i}`);
    expect(count()).toBe(before);
  });

  test('that stops leaves the memory registered: faults wait for the next one', async () => {
    const fixture = await start();
    await fixture.arm(0);
    let arrived = false;
    await fixture.stop();
    void fixture.vmm.read('ram0', 3).then(() => (arrived = true));
    expect(await fixture.vmm.isWaiting(3_000)).toBe(true);
    expect(arrived).toBe(false);
  });
});
