import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UmemState } from '@umem/api';
import { PermissionDenied } from '@umem/errors';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Fixture } from '../testing/page-server-fixture.js';
import { HandoffListener, handoffSocketPath } from './handoff-listener.js';

const MiB = 1 << 20;

async function start(
  blocks: Record<string, number>,
  settings = {},
): Promise<{ fixture: Fixture; socket: string }> {
  const fixture = new Fixture(blocks);
  onTestFinished(() => fixture.close());
  await fixture.start(settings);
  const { handoffSocketPath: socket } = await fixture.create();
  return { fixture, socket };
}

describe('a handoff', () => {
  test('is done when every block is covered, whatever the order', async () => {
    const { fixture, socket } = await start({ ram0: MiB, ram1: MiB });
    await fixture.vmm.map('ram1', MiB);
    await fixture.vmm.map('ram0', MiB);
    expect(await fixture.vmm.handOver(socket, 'ram1')).toBe('READY');
    expect((await fixture.get()).state).toBe(UmemState.AWAITING_HANDOFF);
    expect(await fixture.vmm.handOver(socket, 'ram0')).toBe('READY');
    expect((await fixture.get()).state).toBe(UmemState.HANDED_OFF);
  });

  test('in the form of Firecracker is taken without READY, its regions matched by their offsets', async () => {
    const { fixture, socket } = await start({ ram0: MiB, ram1: MiB });
    const { source } = { source: await fixture.source() };
    await fixture.connect(fixture.target(source, 0));
    const side = fixture.attach();
    await fixture.vmm.map('ram0', MiB);
    await fixture.vmm.map('ram1', MiB, 'ram0');
    const regions = ['ram0', 'ram1'].map((id, i) => {
      const { base_host_virt_addr, size } = fixture.vmm.region(id);
      return { base_host_virt_addr, size, offset: i * MiB, page_size: 4096, page_size_kib: 4096 };
    });
    expect(await fixture.vmm.send(socket, regions, ['uffd:ram0'])).toBe('CLOSED');
    await side.hear('ready', UmemState.HANDED_OFF);
    side.ready();
    expect(await fixture.vmm.read('ram1', 3)).toBe(fixture.ram.get('ram1')?.[3 * 4096]);
    expect(await fixture.vmm.read('ram0', 3)).toBe(fixture.ram.get('ram0')?.[3 * 4096]);
  });

  test('of one block in two mappings is taken piece by piece', async () => {
    const { fixture, socket } = await start({ ram0: 2 * MiB });
    await fixture.vmm.map('low', MiB);
    await fixture.vmm.map('high', MiB);
    const low = { ...fixture.vmm.region('low'), ram_block: 'ram0' };
    const high = { ...fixture.vmm.region('high'), ram_block: 'ram0', offset: MiB };
    expect(await fixture.vmm.send(socket, [high], ['uffd:high'])).toBe('READY');
    expect(await fixture.vmm.send(socket, [low], ['uffd:low'])).toBe('READY');
    expect((await fixture.get()).state).toBe(UmemState.HANDED_OFF);
  });
});

describe('a hostile or mistaken handoff is refused, leaks nothing and disturbs no other', () => {
  const wrong: Record<string, (region: Record<string, number | string>) => [unknown, string[]]> = {
    'without a userfaultfd': (region) => [[region], []],
    'with another descriptor in its place': (region) => [[region], ['pipe']],
    'with its descriptors in the wrong order': (region) => [[region], ['file:ram0', 'uffd:ram0']],
    'with two userfaultfds': (region) => [[region], ['uffd:ram0', 'uffd:ram0']],
    'with a pipe for a RAM file': (region) => [[region], ['uffd:ram0', 'pipe']],
    'of less memory than the VM has, by a VMM that names no blocks': (region) => [
      [{ ...region, ram_block: undefined, size: 4096 }],
      ['uffd:ram0'],
    ],
    'of more memory than the VM has, by a VMM that names no blocks': (region) => [
      [{ ...region, ram_block: undefined, size: 2 * MiB }],
      ['uffd:ram0'],
    ],
    'of regions that overlap in memory': (region) => [
      [
        { ...region, size: MiB / 2 },
        { ...region, size: MiB / 2, offset: MiB / 2 },
      ],
      ['uffd:ram0'],
    ],
    'with too many descriptors': (region) => [[region], ['uffd:ram0', 'file:ram0', 'pipe']],
    'that is not JSON': () => ['[nonsense]', ['uffd:ram0']],
    'that is no array': () => ['{"a":1}', ['uffd:ram0']],
    'without regions': () => [[], ['uffd:ram0']],
    'with text after the array': (region) => [`${JSON.stringify([region])}x`, ['uffd:ram0']],
    'of an unknown block': (region) => [[{ ...region, ram_block: 'nope' }], ['uffd:ram0']],
    'past the end of its block': (region) => [[{ ...region, offset: 4096 }], ['uffd:ram0']],
    'at an unaligned address': (region) => [[{ ...region, base_host_virt_addr: 4097 }], ['uffd:ram0']],
    'of no bytes': (region) => [[{ ...region, size: 0 }], ['uffd:ram0']],
    'of a negative size': (region) => [[{ ...region, size: -4096 }], ['uffd:ram0']],
    'of a fraction of a page': (region) => [[{ ...region, size: 5000 }], ['uffd:ram0']],
    'of an address beyond what a number holds': (region) => [
      [{ ...region, base_host_virt_addr: 2 ** 60 }],
      ['uffd:ram0'],
    ],
    'with huge pages': (region) => [[{ ...region, page_size: 2 << 20 }], ['uffd:ram0']],
    'of the same pages twice': (region) => [[region, region], ['uffd:ram0']],
    'longer than 64 KiB': (region) => [`[${JSON.stringify(region)},"${'x'.repeat(70_000)}"]`, ['uffd:ram0']],
  };
  for (const [name, make] of Object.entries(wrong))
    test(name, async () => {
      const { fixture, socket } = await start({ ram0: MiB });
      await fixture.vmm.map('ram0', MiB);
      await fixture.vmm.send(socket, '[]', []);
      const before = readdirSync('/proc/self/fd').length;
      const [message, fds] = make(fixture.vmm.region('ram0'));
      expect(await fixture.vmm.send(socket, message, fds)).toBe('CLOSED');
      expect(readdirSync('/proc/self/fd').length).toBe(before);
      expect((await fixture.get()).state).toBe(UmemState.AWAITING_HANDOFF);
      expect(await fixture.vmm.handOver(socket, 'ram0')).toBe('READY');
    });

  test('of a block that was handed over before', async () => {
    const { fixture, socket } = await start({ ram0: MiB, ram1: MiB });
    await fixture.vmm.map('ram0', MiB);
    expect(await fixture.vmm.handOver(socket, 'ram0')).toBe('READY');
    expect(await fixture.vmm.handOver(socket, 'ram0')).toBe('CLOSED');
  });

  test('after everything was handed over', async () => {
    const { fixture, socket } = await start({ ram0: MiB });
    await fixture.handOver(socket);
    expect(await fixture.vmm.handOver(socket, 'ram0')).toBe('CLOSED');
    expect((await fixture.get()).state).toBe(UmemState.HANDED_OFF);
  });

  test('of a VMM that says nothing is closed when its time is over, and others are served meanwhile', async () => {
    const { fixture, socket } = await start({ ram0: MiB }, { handoffTimeout: '300ms' });
    const silent = connect(socket).resume();
    const closed = once(silent, 'close');
    await fixture.handOver(socket);
    await closed;
    expect((await fixture.get()).state).toBe(UmemState.HANDED_OFF);
  });

  test('of a GiB of JSON is refused at its first 64 KiB', async () => {
    const { fixture, socket } = await start({ ram0: MiB });
    const endless = connect(socket);
    const piece = Buffer.alloc(1 << 16, '[');
    let sent = 0;
    // Being cut off is what is expected.
    endless.on('error', () => {});
    const closed = new Promise<void>((resolve) => endless.once('close', () => resolve()));
    for (; sent < 1 << 30 && endless.writable; sent += piece.length)
      if (!endless.write(piece))
        await Promise.race([new Promise((resolve) => endless.once('drain', resolve)), closed]);
    await closed;
    expect(sent).toBeLessThan(64 << 20);
    await fixture.handOver(socket);
  });

  test('that never ends is closed when its time is over', async () => {
    const { fixture, socket } = await start({ ram0: MiB }, { handoffTimeout: '100ms' });
    const slow = connect(socket);
    slow.write('[{"base_host_virt_addr":');
    await once(slow.resume(), 'close');
    await fixture.handOver(socket);
  });
});

describe('the handoff socket', () => {
  test("is for its owner alone, and belongs to the VMM's user when one is given", async () => {
    const { fixture, socket } = await start({ ram0: MiB });
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    const { client } = fixture;
    const vmmUserId = 12_345;
    const { handoffSocketPath: other } = await new Promise<{ handoffSocketPath: string }>((resolve, reject) =>
      client.createUmem({ ...fixture.createRequest('other'), vmmUserId }, (error, umem) =>
        error ? reject(error) : resolve(umem),
      ),
    );
    expect(statSync(other)).toMatchObject({ uid: vmmUserId });
    expect(statSync(other).mode & 0o777).toBe(0o600);
  });

  test('is removed with its set', async () => {
    const { fixture, socket } = await start({ ram0: MiB });
    expect(existsSync(socket)).toBe(true);
    await fixture.delete();
    expect(existsSync(socket)).toBe(false);
  });

  test('of a path that the kernel does not take is refused with what to do', () => {
    expect(() => handoffSocketPath('/run/a-state-directory-of-some-length', 'x'.repeat(63))).toThrow(
      /the kernel allows 107/,
    );
  });
});

test("a user who may not hand over is refused by the kernel's word", async () => {
  const directory = mkdtempSync(join(tmpdir(), 'umem-handoff-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = handoffSocketPath(directory, 'vm1');
  const refused = new Promise<unknown>((resolve) => {
    const listener = new HandoffListener({
      path,
      stateDir: directory,
      vmmUserId: undefined,
      allowedUids: [(process.geteuid?.() ?? 0) + 1],
      timeoutMs: 1_000,
      accept: () => ({ wantsReady: true }),
      refused: resolve,
      failed: resolve,
    });
    onTestFinished(() => listener.close());
  });
  await once(connect(path).resume(), 'close');
  expect(await refused).toBeInstanceOf(PermissionDenied);
});
