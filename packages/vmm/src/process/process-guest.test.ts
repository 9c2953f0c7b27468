import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Cancelled, HostPrecondition, PeerUnavailable } from '@umem/errors';
import { connectQemu } from '../qemu/connect-qemu.js';
import { MiB } from '../testing/qemu.js';
import { Scratch } from '../testing/scratch.js';
import type { Vmm } from '../vmm.js';
import type { ProcessGuestOptions } from './arguments.js';
import { startProcessGuest, type ProcessGuest } from './process-guest.js';

const scratch = new Scratch();
afterEach(() => scratch.clean());

const PAGE = 4096;

async function start(options: Partial<ProcessGuestOptions> = {}): Promise<ProcessGuest> {
  const dir = options.dir ?? (await scratch.directory());
  const blocks = options.blocks ?? [{ id: 'ram0', sizeBytes: 4 * MiB, path: join(dir, 'ram0') }];
  const guest = await startProcessGuest({ name: 'guest', ...options, dir, blocks });
  scratch.defer(() => guest.kill());
  return guest;
}

async function connect(guest: ProcessGuest): Promise<Vmm> {
  const vmm = await connectQemu(guest.qmpPath);
  scratch.defer(() => vmm.close());
  return vmm;
}

async function openRam(path: string): Promise<FileHandle> {
  const file = await open(path, 'r+');
  scratch.defer(() => file.close());
  return file;
}

async function readPage(file: FileHandle, page: number): Promise<Buffer> {
  const bytes = Buffer.alloc(PAGE);
  await file.read(bytes, 0, PAGE, page * PAGE);
  return bytes;
}

/** A stopped guest and its RAM file. */
async function startPaused(options: Partial<ProcessGuestOptions> = {}) {
  const dir = await scratch.directory();
  const guest = await start({ ...options, dir, paused: true });
  return { guest, ram: await openRam(join(dir, 'ram0')) };
}

describe('the process guest', () => {
  it('ticks with growing counters and finds nothing wrong with itself', async () => {
    const guest = await start();
    const first = await guest.waitForTick();
    const later = await guest.waitForTick(({ seq }) => seq >= first.seq + 2);
    expect(later.ops).toBeGreaterThan(first.ops);
    expect(later.mismatches).toBe(0);
    expect(guest.lastTick?.seq).toBeGreaterThanOrEqual(later.seq);
    expect(await guest.verifyAll()).toEqual({
      pages: 1024,
      mismatches: 0,
      stale: 0,
      foreign: 0,
      zero: 0,
      corrupt: 0,
    });
    expect(guest.stderr).toBe('');
  });

  it.each(['random', 'sequential', 'strided', 'zipf'] as const)(
    'works in mode %s on several threads',
    async (mode) => {
      const guest = await start({ workload: { mode, threads: 4, writePercent: 50, constantPercent: 20 } });
      const tick = await guest.waitForTick(({ seq }) => seq >= 2);
      expect(tick).toMatchObject({ mismatches: 0 });
      expect((await guest.verifyAll()).mismatches).toBe(0);
    },
  );

  it('uses its working set only, and does not touch the rest', async () => {
    const dir = await scratch.directory();
    await start({ dir, workload: { workingSetBytes: MiB } }).then((guest) => guest.waitForTick());
    const bytes = await readFile(join(dir, 'ram0'));
    expect(bytes.subarray(MiB).every((byte) => byte === 0)).toBe(true);
    for (let page = 0; page < MiB / PAGE; page++)
      expect(bytes.subarray(page * PAGE, (page + 1) * PAGE).some((byte) => byte !== 0)).toBe(true);
  });

  it('touches every page when it is told to, of any number of pages', async () => {
    const dir = await scratch.directory();
    const sizeBytes = 5 * MiB + 3 * PAGE;
    const blocks = [{ id: 'ram0', sizeBytes, path: join(dir, 'ram0') }];
    const guest = await start({ dir, blocks, paused: true, workload: { workingSetBytes: PAGE } });
    const allocated = async (): Promise<number> => (await stat(join(dir, 'ram0'))).blocks * 512;
    expect(await allocated()).toBeLessThan(sizeBytes);
    await guest.touchAll();
    expect(await allocated()).toBe(sizeBytes);
  });

  it('makes every page different, unless it is asked for pages of one byte', async () => {
    const { ram } = await startPaused({ workload: { constantPercent: 50 } });
    const pages = await Promise.all(Array.from({ length: 100 }, (_, page) => readPage(ram, page)));
    const constant = pages.filter((page) => page.every((byte) => byte === page[0]));
    expect(constant.length).toBeGreaterThan(20);
    expect(constant.length).toBeLessThan(80);
    expect(new Set(pages.map(String)).size).toBeGreaterThan(20);
  });

  it('in mode zipf uses a few pieces of RAM much more than others, scattered and by its seed', async () => {
    const pieces = 64;
    /** Pieces of 1 MiB, those with most writes first. */
    const popular = async (seed: number): Promise<number[]> => {
      const dir = await scratch.directory();
      const blocks = [{ id: 'ram0', sizeBytes: pieces * MiB, path: join(dir, 'ram0') }];
      const workload = { mode: 'zipf', writePercent: 100, seed } as const;
      const guest = await start({ dir, blocks, workload });
      await guest.waitForTick(({ ops }) => ops >= 20_000);
      const vmm = await connect(guest);
      await vmm.stop();
      const ram = await readFile(join(dir, 'ram0'));
      const writes = Array.from({ length: pieces }, (_, piece) => {
        // The third word of a page is its version.
        const versions = Array.from({ length: MiB / PAGE }, (_, page) =>
          Number(ram.readBigUInt64LE(piece * MiB + page * PAGE + 16)),
        );
        return versions.reduce((sum, version) => sum + version - 1, 0);
      });
      const order = [...writes.keys()].sort((a, b) => (writes[b] ?? 0) - (writes[a] ?? 0));
      const total = writes.reduce((sum, count) => sum + count, 0);
      const top = order.slice(0, 4).reduce((sum, piece) => sum + (writes[piece] ?? 0), 0);
      expect(top / total).toBeGreaterThan(0.4);
      return order.slice(0, 2);
    };
    const [first = NaN, second = NaN] = await popular(7);
    expect(Math.abs(first - second)).toBeGreaterThan(4);
    expect(await popular(7)).toEqual([first, second]);
    expect(await popular(29)).not.toEqual([first, second]);
  });

  it('works with hundreds of threads, and ticks as often as it is told', async () => {
    const guest = await start({ workload: { threads: 1024, thinkUs: 1000, tickMs: 10 } });
    const first = await guest.waitForTick();
    const later = await guest.waitForTick(({ seq }) => seq >= first.seq + 3);
    expect(later).toMatchObject({ mismatches: 0 });
    // Ten milliseconds or, on a busy machine, more; the default is far above.
    expect(later.atUs - first.atUs).toBeGreaterThanOrEqual(3 * 10_000 - 1000);
    expect((await guest.verifyAll()).mismatches).toBe(0);
  });

  it('pauses longer when it thinks between operations', async () => {
    const guest = await start({ workload: { thinkUs: 20_000, threads: 1 } });
    const { seq, ops } = await guest.waitForTick((tick) => tick.seq >= 2);
    expect(ops).toBeLessThanOrEqual(seq * 10 + 10);
  });
});

describe('what the process guest notices', () => {
  it('one wrong byte, anywhere in a page', async () => {
    const { guest, ram } = await startPaused();
    for (const offset of [0, 9, 25, 2047, PAGE - 1]) {
      const page = offset % 1000;
      const before = await readPage(ram, page);
      const after = Buffer.from(before);
      after[offset] = (before[offset] ?? 0) ^ 1;
      await ram.write(after, 0, PAGE, page * PAGE);
      expect(await guest.verifyAll()).toMatchObject({ mismatches: 1, corrupt: 1 });
      await ram.write(before, 0, PAGE, page * PAGE);
      expect(await guest.verifyAll()).toMatchObject({ mismatches: 0 });
    }
    expect(guest.stderr).toContain('MISMATCH block=ram0 pgoff=0 expected_version=1 found=corrupt');
  });

  it('a page that is one version old, whole as it is', async () => {
    const dir = await scratch.directory();
    const guest = await start({ dir, paused: true, workload: { writePercent: 100 } });
    const vmm = await connect(guest);
    const ram = await openRam(join(dir, 'ram0'));
    const old = await readPage(ram, 5);
    await vmm.resume();
    await guest.waitForTick();
    await vmm.stop();
    expect(await readPage(ram, 5)).not.toEqual(old);
    await ram.write(old, 0, PAGE, 5 * PAGE);
    expect(await guest.verifyAll()).toMatchObject({ mismatches: 1, stale: 1 });
  });

  it('a page in the place of another', async () => {
    const { guest, ram } = await startPaused();
    await ram.write(await readPage(ram, 7), 0, PAGE, 8 * PAGE);
    expect(await guest.verifyAll()).toMatchObject({ mismatches: 1, foreign: 1 });
  });

  it('a page that never arrived and reads as zero, and one that should be zero and is not', async () => {
    const { guest, ram } = await startPaused({ workload: { workingSetBytes: MiB } });
    await ram.write(Buffer.alloc(PAGE), 0, PAGE, 9 * PAGE);
    await ram.write(Buffer.from([1]), 0, 1, 4 * MiB - 1);
    expect(await guest.verifyAll()).toMatchObject({ mismatches: 2, zero: 1, corrupt: 1 });
  });

  it('wrong pages while it works, in its ticks', async () => {
    const { guest, ram } = await startPaused({ workload: { writePercent: 0 } });
    await ram.write(Buffer.from('wrong'), 0, 5, 100);
    await (await connect(guest)).resume();
    expect((await guest.waitForTick(({ mismatches }) => mismatches > 0)).mismatches).toBeGreaterThan(0);
  });
});

describe('the process guest as a VM', () => {
  it('is described like a QEMU: file and memfd blocks, process, version', async () => {
    const dir = await scratch.directory();
    const path = join(dir, 'ram0');
    const guest = await start({
      dir,
      blocks: [
        { id: 'ram0', sizeBytes: 2 * MiB, path },
        { id: 'ram1', sizeBytes: MiB },
        { id: 'ram2', sizeBytes: MiB, memfd: 'memory-backend-memfd' },
      ],
    });
    const description = await (await connect(guest)).describe();
    expect(description).toMatchObject({
      version: 'umem process guest 0.1.0',
      pid: guest.pid,
      blocks: [
        { blockId: 'ram0', sizeBytes: 2 * MiB, backing: { kind: 'file', path } },
        { blockId: 'ram1', sizeBytes: MiB, backing: { kind: 'memfd', pid: guest.pid } },
        { blockId: 'ram2', sizeBytes: MiB, backing: { kind: 'memfd', pid: guest.pid } },
      ],
    });
    expect(description.blocks[1]?.backing).not.toEqual(description.blocks[2]?.backing);
  });

  it('changes nothing while it is stopped, and runs on where it was', async () => {
    const dir = await scratch.directory();
    const guest = await start({ dir, workload: { writePercent: 100 } });
    const vmm = await connect(guest);
    await guest.waitForTick();
    expect(await vmm.stop()).toEqual({ wasRunning: true });
    expect(await vmm.runState()).toBe('stopped');
    const frozen = await readFile(join(dir, 'ram0'));
    await guest.touchAll();
    expect(frozen.equals(await readFile(join(dir, 'ram0')))).toBe(true);
    const last = guest.lastTick?.seq ?? 0;
    await vmm.resume();
    expect((await guest.waitForTick(({ seq }) => seq > last)).mismatches).toBe(0);
  });

  it('saves, cancels and runs on', async () => {
    const guest = await start();
    const vmm = await connect(guest);
    await vmm.prepareSave();
    await vmm.stop();
    const state = await buffer(await vmm.saveDeviceState(await scratch.path('out')));
    expect(state.length).toBeGreaterThan(1024 * 4);
    await vmm.cancelSave();
    expect(await vmm.runState()).toBe('running');
    await guest.waitForTick();
  });

  it('lets a save be cancelled that nobody reads', async () => {
    // A version table larger than what sockets buffer.
    const blocks = [{ id: 'ram0', sizeBytes: 4096 * MiB }];
    const guest = await start({ blocks, workload: { workingSetBytes: MiB } });
    const vmm = await connect(guest);
    await vmm.prepareSave();
    await vmm.stop();
    const stream = await vmm.saveDeviceState(await scratch.path('out'));
    const read = expect(buffer(stream)).rejects.toThrow(Cancelled);
    await vmm.cancelSave();
    await read;
    expect(await vmm.runState()).toBe('running');
    await vmm.prepareSave();
    await vmm.stop();
    const state = await buffer(await vmm.saveDeviceState(await scratch.path('out')));
    expect(state.length).toBeGreaterThan(4 * MiB);
  });

  it('moves to another process that shares its RAM, with its counters, and goes on verifying', async () => {
    const dir = await scratch.directory();
    const blocks = [
      { id: 'ram0', sizeBytes: 4 * MiB, path: join(dir, 'ram0') },
      { id: 'ram1', sizeBytes: 2 * MiB, path: join(dir, 'ram1') },
    ];
    const workload = { threads: 3, writePercent: 60, constantPercent: 10, seed: 99 };
    const source = await start({ name: 'source', dir, blocks, workload });
    const from = await connect(source);
    const before = await source.waitForTick(({ seq }) => seq >= 2);
    const target = await start({ name: 'target', dir, blocks, workload: { threads: 3 }, incoming: true });
    const to = await connect(target);
    expect(await to.runState()).toBe('inmigrate');
    await to.prepareLoad(join(dir, 'in'));
    await from.prepareSave();
    await from.stop();
    await pipeline(await from.saveDeviceState(join(dir, 'out')), await to.openDeviceState());
    await to.loaded();
    expect(await to.runState()).toBe('stopped');
    expect((await target.verifyAll()).mismatches).toBe(0);
    await to.resume();
    const after = await target.waitForTick();
    expect(after.seq).toBeGreaterThan(before.seq);
    expect(after.ops).toBeGreaterThan(before.ops);
    expect(after.mismatches).toBe(0);
    await from.quit();
    expect(await source.exited).toEqual({ code: 0, signal: null });
  });

  it('sees pages that changed after its state was saved, for it knows every version', async () => {
    const dir = await scratch.directory();
    const source = await start({ name: 'source', dir, workload: { writePercent: 100 } });
    const from = await connect(source);
    const target = await start({ name: 'target', dir, incoming: true });
    const to = await connect(target);
    await to.prepareLoad(join(dir, 'in'));
    await from.prepareSave();
    await from.stop();
    const state = await buffer(await from.saveDeviceState(join(dir, 'out')));
    // The mistake that umem must never make: the source runs again after the switchover.
    await from.cancelSave();
    await source.waitForTick();
    (await to.openDeviceState()).end(state);
    await to.loaded();
    expect((await target.verifyAll()).stale).toBeGreaterThan(100);
  });

  it.each([
    ['garbage', () => Buffer.from('nonsense'.repeat(10)), /Not a process guest's device state/],
    ['nothing', () => Buffer.alloc(0), /ends too early/],
    ['half of it', (state: Buffer) => state.subarray(0, state.length / 2), /ends too early/],
    ['a changed byte', (state: Buffer) => changed(state, state.length - 100), /checksum is wrong/],
  ])('ends when its device state is %s, and says so', async (_, damage, message) => {
    const dir = await scratch.directory();
    const from = await connect(await start({ name: 'source', dir }));
    const target = await start({ name: 'target', dir, incoming: true });
    const to = await connect(target);
    await to.prepareLoad(join(dir, 'in'));
    await from.prepareSave();
    await from.stop();
    const state = damage(await buffer(await from.saveDeviceState(join(dir, 'out'))));
    (await to.openDeviceState()).end(state);
    await expect(to.loaded()).rejects.toThrow(/while loading device state/);
    expect(await target.exited).toEqual({ code: 1, signal: null });
    expect(target.stderr).toMatch(message);
    await from.cancelSave();
    expect(await from.runState()).toBe('running');
  });

  it('ends when the other side has other RAM or other threads', async () => {
    for (const [workload, sizeBytes, message] of [
      [{ threads: 3 }, 4 * MiB, /Number of worker threads: 2 in the device state, but 3 here/],
      [{}, 8 * MiB, /Size of a RAM block: 4194304 in the device state, but 8388608 here/],
    ] as const) {
      const dir = await scratch.directory();
      const from = await connect(await start({ name: 'source', dir }));
      const blocks = [{ id: 'ram0', sizeBytes }];
      const target = await start({ name: 'target', dir, blocks, workload, incoming: true });
      const to = await connect(target);
      await to.prepareLoad(join(dir, 'in'));
      await from.prepareSave();
      await from.stop();
      const state = await buffer(await from.saveDeviceState(join(dir, 'out')));
      (await to.openDeviceState()).end(state);
      await expect(to.loaded()).rejects.toThrow(HostPrecondition);
      await target.exited;
      expect(target.stderr).toMatch(message);
    }
  });

  it('touches no RAM before it loads', async () => {
    const dir = await scratch.directory();
    const target = await start({ dir, incoming: true });
    const to = await connect(target);
    await to.describe();
    await to.prepareLoad(join(dir, 'in'));
    const file = await openRam(join(dir, 'ram0'));
    expect((await file.stat()).blocks).toBe(0);
  });
});

describe('starting and ending a process guest', () => {
  it('reports in its own words why it does not start', async () => {
    const dir = await scratch.directory();
    const started = start({
      dir,
      blocks: [{ id: 'ram0', sizeBytes: 4 * MiB, path: join(dir, 'no/such/file') }],
    });
    await expect(started).rejects.toThrow(HostPrecondition);
    await expect(started).rejects.toThrow(/cannot open RAM block ram0 .*No such file/);
    await expect(start({ workload: { threads: 0 } })).rejects.toThrow(/--threads does not accept "0"/);
    await expect(start({ workload: { threads: 1025 } })).rejects.toThrow(/--threads does not accept/);
    await expect(start({ blocks: [] })).rejects.toThrow(/usage/);
    await expect(start({ blocks: [{ id: 'ram0', sizeBytes: 5000 }] })).rejects.toThrow(/--ram/);
    await expect(start({ program: '/no/such/program' })).rejects.toThrow(/ENOENT/);
  });

  it('can be killed, and then has no more ticks', async () => {
    const guest = await start();
    await guest.waitForTick();
    await guest.kill();
    await guest.kill();
    expect(await guest.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await expect(guest.waitForTick()).rejects.toThrow(PeerUnavailable);
  });
});

function changed(bytes: Buffer, index: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[index] = (copy[index] ?? 0) ^ 0x10;
  return copy;
}
