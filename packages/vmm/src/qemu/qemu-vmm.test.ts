import { copyFile } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { finished, pipeline } from 'node:stream/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Cancelled, HostPrecondition, WrongState } from '@umem/errors';
import { fileMachine, startQemu, type TestQemu } from '../testing/qemu.js';
import { Scratch } from '../testing/scratch.js';
import type { Vmm } from '../vmm.js';
import { connectQemu } from './connect-qemu.js';
import { QmpClient } from './qmp-client.js';
import { capabilitiesReply, parametersReply } from './qmp-replies.js';

const scratch = new Scratch();
afterEach(() => scratch.clean());

interface Started {
  readonly qemu: TestQemu;
  readonly vmm: Vmm;
  readonly ram: string;
  /** A second monitor, as the VM's owner has it. */
  owner(): Promise<QmpClient>;
}

async function start(...args: string[]): Promise<Started> {
  const directory = await scratch.directory();
  const ram = `${directory}/ram0`;
  const ownerPath = `${directory}/owner`;
  const qemu = startQemu(scratch, `${directory}/qmp`, [
    ...fileMachine(ram),
    ...['-qmp', `unix:${ownerPath},server=on,wait=off`],
    ...args,
  ]);
  const vmm = await connectQemu(qemu.qmpPath, { timeoutMs: 20_000 });
  scratch.defer(() => vmm.close());
  const owner = async () => {
    const client = await QmpClient.connect(ownerPath);
    scratch.defer(() => client.close());
    return client;
  };
  return { qemu, vmm, ram, owner };
}

function lost(vmm: Vmm): Promise<Error | null> {
  return new Promise((resolve) => vmm.onLost(resolve));
}

async function readSettings(owner: QmpClient) {
  const capabilities = await owner.execute('query-migrate-capabilities', capabilitiesReply);
  return {
    on: capabilities.filter(({ state }) => state).map(({ capability }) => capability),
    bandwidth: (await owner.execute('query-migrate-parameters', parametersReply))['max-bandwidth'],
  };
}

/** Takes a running source to the middle of SWITCHOVER. */
async function save(source: Started) {
  await source.vmm.prepareSave();
  await source.vmm.stop();
  return source.vmm.saveDeviceState(await scratch.path('out'));
}

describe('saving device state of a QEMU', () => {
  it('gives a small stream that ends when QEMU says that it is complete', async () => {
    const source = await start();
    const state = await buffer(await save(source));
    expect(state.subarray(0, 4).toString()).toBe('QEVM');
    expect(state.length).toBeLessThan(2 ** 21);
  });

  it('can be cancelled after it has completed: the guest runs on, all settings are as before', async () => {
    const source = await start();
    const owner = await source.owner();
    await owner.execute('migrate-set-capabilities', z.unknown(), {
      capabilities: [{ capability: 'postcopy-ram', state: true }],
    });
    const before = await readSettings(owner);
    await buffer(await save(source));
    expect((await readSettings(owner)).on).toEqual(['events', 'x-ignore-shared']);
    await source.vmm.cancelSave();
    expect(await source.vmm.runState()).toBe('running');
    expect(await readSettings(owner)).toEqual(before);
    await source.vmm.cancelSave();
  });

  it('can be cancelled before it starts', async () => {
    const source = await start();
    const owner = await source.owner();
    const before = await readSettings(owner);
    await source.vmm.cancelSave();
    await source.vmm.prepareSave();
    await source.vmm.cancelSave();
    await source.vmm.prepareSave();
    expect(await source.vmm.stop()).toEqual({ wasRunning: true });
    expect(await source.vmm.stop()).toEqual({ wasRunning: true });
    expect(await source.vmm.runState()).toBe('stopped');
    await source.vmm.cancelSave();
    expect(await source.vmm.runState()).toBe('running');
    expect(await readSettings(owner)).toEqual(before);
  });

  it('can be cancelled in the middle: the stream errors, the guest runs on, a second try succeeds', async () => {
    const source = await start();
    const stream = await save(source);
    const read = expect(buffer(stream)).rejects.toThrow(Cancelled);
    await source.vmm.cancelSave();
    await read;
    expect(await source.vmm.runState()).toBe('running');
    expect((await buffer(await save(source))).length).toBeGreaterThan(1000);
  });

  it('leaves a guest stopped that its owner had paused', async () => {
    const source = await start();
    await (await source.owner()).execute('stop', z.unknown());
    await source.vmm.prepareSave();
    expect(await source.vmm.stop()).toEqual({ wasRunning: false });
    await source.vmm.cancelSave();
    expect(await source.vmm.runState()).toBe('stopped');
  });

  it('can be cancelled after its reader has gone away', async () => {
    const source = await start();
    const stream = await save(source);
    stream.destroy();
    await finished(stream).catch(() => undefined);
    await source.vmm.cancelSave();
    expect(await source.vmm.runState()).toBe('running');
  });

  it('reports a socket path that cannot be used', async () => {
    const source = await start();
    await source.vmm.prepareSave();
    await source.vmm.stop();
    await expect(source.vmm.saveDeviceState('/dev/shm/no/such/directory/out')).rejects.toThrow(
      /Cannot listen for device state on .*ENOENT/,
    );
    await source.vmm.cancelSave();
    expect(await source.vmm.runState()).toBe('running');
  });

  it('needs preparation and a stopped guest', async () => {
    const source = await start();
    const path = await scratch.path('out');
    await expect(source.vmm.saveDeviceState(path)).rejects.toThrow(WrongState);
    await source.vmm.prepareSave();
    await expect(source.vmm.saveDeviceState(path)).rejects.toThrow(/only when it is stopped/);
  });

  it('is refused while QEMU would speak TLS, and after the guest has moved', async () => {
    const source = await start();
    const owner = await source.owner();
    await owner.execute('migrate-set-parameters', z.unknown(), { 'tls-creds': 'tls0' });
    await expect(source.vmm.prepareSave()).rejects.toThrow(/tls-creds is "tls0"/);
    await owner.execute('migrate-set-parameters', z.unknown(), { 'tls-creds': '' });
    await buffer(await save(source));
    source.vmm.close();
    const second = await connectQemu(source.qemu.qmpPath);
    scratch.defer(() => second.close());
    await expect(second.prepareSave()).rejects.toThrow(/run state postmigrate.*already migrated/);
  });

  it('errors when QEMU dies in the middle', async () => {
    const source = await start();
    await source.vmm.prepareSave();
    await source.vmm.stop();
    const gone = lost(source.vmm);
    source.qemu.kill().catch(() => undefined);
    const saved = (async () => buffer(await source.vmm.saveDeviceState(await scratch.path('out'))))();
    await expect(saved).rejects.toThrow();
    expect(await gone).toBeInstanceOf(Error);
  });
});

describe('loading device state into a QEMU', () => {
  it('moves a guest: it arrives stopped and runs when it is told to', async () => {
    const source = await start('-device', 'virtio-balloon-pci', '-smp', '2');
    const target = await start('-device', 'virtio-balloon-pci', '-smp', '2', '-incoming', 'defer');
    expect(await target.vmm.runState()).toBe('inmigrate');
    await target.vmm.prepareLoad(await scratch.path('in'));
    const stream = await save(source);
    await copyFile(source.ram, target.ram);
    await pipeline(stream, await target.vmm.openDeviceState());
    await target.vmm.loaded();
    expect(await target.vmm.runState()).toBe('stopped');
    await target.vmm.resume();
    expect(await target.vmm.runState()).toBe('running');
    expect(await source.vmm.runState()).toBe('stopped');
    const gone = [lost(source.vmm), lost(target.vmm)];
    await source.vmm.quit();
    await target.vmm.quit();
    expect(await Promise.all(gone)).toEqual([null, null]);
  });

  it('needs a QEMU that waits for it', async () => {
    const source = await start();
    await expect(source.vmm.prepareLoad(await scratch.path('in'))).rejects.toThrow(/-incoming defer/);
    await expect(source.vmm.openDeviceState()).rejects.toThrow(WrongState);
    await expect(source.vmm.loaded()).rejects.toThrow(WrongState);
  });

  it.each([
    ['garbage', Buffer.alloc(4096, 0x55)],
    ['the start of a stream only', Buffer.from('QEVM\0\0\0\x03')],
  ])('fails on %s: QEMU ends, and the error sends the reader to its log', async (_, bytes) => {
    const target = await start('-incoming', 'defer');
    const gone = lost(target.vmm);
    await target.vmm.prepareLoad(await scratch.path('in'));
    const state = await target.vmm.openDeviceState();
    const loaded = target.vmm.loaded();
    state.end(bytes);
    await expect(loaded).rejects.toThrow(HostPrecondition);
    await expect(loaded).rejects.toThrow(/while loading device state/);
    expect(await gone).toBeInstanceOf(Error);
  });

  it('fails when the machines differ', async () => {
    const source = await start('-device', 'virtio-balloon-pci');
    const target = await start('-incoming', 'defer');
    await target.vmm.prepareLoad(await scratch.path('in'));
    const stream = await save(source);
    // QEMU may hang up before it has read all.
    await pipeline(stream, await target.vmm.openDeviceState()).catch(() => undefined);
    await expect(target.vmm.loaded()).rejects.toThrow(/while loading device state/);
    await source.vmm.cancelSave();
    expect(await source.vmm.runState()).toBe('running');
  });

  it('takes the first connection only, as QEMU does', async () => {
    const target = await start('-incoming', 'defer');
    const path = await scratch.path('in');
    await target.vmm.prepareLoad(path);
    await target.vmm.openDeviceState();
    const stranger = connectSocket({ path });
    await expect(finished(stranger.end('x').resume())).rejects.toThrow();
  });
});

describe('a VMM that is lost', () => {
  it('is reported once, with the path', async () => {
    const source = await start();
    const gone = lost(source.vmm);
    await source.qemu.kill();
    expect(String(await gone)).toContain(source.qemu.qmpPath);
    await expect(source.vmm.runState()).rejects.toThrow(/connection .* has ended/);
    await expect(source.vmm.stop()).rejects.toThrow();
    source.vmm.close();
  });

  it('is not lost when it is let go: QEMU stays', async () => {
    const source = await start();
    const gone = lost(source.vmm);
    source.vmm.close();
    source.vmm.close();
    expect(await gone).toBeNull();
    const again = await connectQemu(source.qemu.qmpPath);
    scratch.defer(() => again.close());
    expect(await again.runState()).toBe('running');
  });
});
