import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { call, VmRunState } from '@umem/api';
import { connectQemu } from '@umem/vmm';
import { afterEach, describe, expect, test } from 'vitest';
import { AgentLab } from '../testing/agent-lab.js';

let lab: AgentLab;
const start = async (settings?: Record<string, unknown>): Promise<AgentLab> =>
  (lab = await AgentLab.start(settings));
afterEach(() => lab.stop());

const unregister = (name: string) => call(lab.vms, lab.vms.unregisterVm, { name }, { peer: 'agent' });
const list = async () => (await call(lab.vms, lab.vms.listVms, {}, { peer: 'agent' })).vms;

describe('registering', () => {
  test('discovers what the VM is from its QMP socket', async () => {
    await start();
    const guest = await lab.startGuest();
    const vm = await lab.register('vm1', guest.qmpPath);
    expect(vm).toMatchObject({
      name: 'vm1',
      qmpPath: guest.qmpPath,
      blocks: [{ blockId: 'ram0', sizeBytes: 4n << 20n, hostPageSizeBytes: 4096n }],
      runState: VmRunState.RUNNING,
      vmmPid: guest.pid,
      migrationId: '',
    });
    expect(vm.vmmVersion).not.toBe('');
    expect(await lab.getVm()).toEqual(vm);
  });

  test('again answers with the VM as it is', async () => {
    await start();
    const guest = await lab.startGuest('vm1', { paused: true });
    const [first, second] = await Promise.all([
      lab.register('vm1', guest.qmpPath),
      lab.register('vm1', guest.qmpPath),
    ]);
    expect(second).toEqual(first);
    expect(first.runState).toBe(VmRunState.STOPPED);
    expect(await list()).toHaveLength(1);
  });

  test('leaves the socket free for other tools in between', async () => {
    await start();
    const guest = await lab.startVm();
    await lab.getVm();
    const vmm = await connectQemu(guest.qmpPath, { timeoutMs: 2000 });
    expect(await vmm.runState()).toBe('running');
    vmm.close();
  });

  test('refuses a taken name, a taken socket and one VM too many', async () => {
    await start({ maxVms: 1 });
    const guest = await lab.startVm();
    const taken = { code: status.ALREADY_EXISTS };
    await expect(lab.register('vm1', '/elsewhere.qmp')).rejects.toMatchObject(taken);
    await expect(lab.register('vm2', guest.qmpPath)).rejects.toMatchObject(taken);
    await expect(lab.register('vm2', '/elsewhere.qmp')).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      message: expect.stringContaining('--max-vms') as string,
    });
  });

  test.each([
    ['', '/x', 'name'],
    ['../vm', '/x', '../vm'],
    ['a'.repeat(64), '/x', 'name'],
    ['vm1', 'relative.qmp', 'relative.qmp'],
    ['vm1', '', 'qmp_path'],
    ['vm1', `/${'x'.repeat(200)}`, '201'],
    ['vm1', '/a\0b', 'qmp_path'],
  ])('refuses name "%s" with socket "%s"', async (name, qmpPath, fact) => {
    await start();
    await expect(lab.register(name, qmpPath)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: expect.stringContaining(fact) as string,
    });
  });

  test('says when nothing answers on the socket, and registers nothing', async () => {
    await start();
    await expect(lab.register('vm1', join(lab.dir, 'nobody.qmp'))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(await list()).toEqual([]);
  });
});

describe('what is registered', () => {
  test('is listed by name and survives a restart of the agent', async () => {
    await start();
    await lab.startVm('vm-b');
    await lab.startVm('vm-a');
    const before = await list();
    expect(before.map(({ name }) => name)).toEqual(['vm-a', 'vm-b']);
    await lab.stopAgent();
    await lab.startAgent();
    expect(await list()).toEqual(before);
  });

  test('stays and is shown when its VMM is gone', async () => {
    await start();
    const guest = await lab.startVm();
    await guest.kill();
    const gone = { name: 'vm1', runState: VmRunState.UNSPECIFIED, vmmPid: 0, blocks: [{ blockId: 'ram0' }] };
    expect(await lab.getVm()).toMatchObject(gone);
    await lab.stopAgent();
    await lab.startAgent();
    expect(await lab.getVm()).toMatchObject(gone);
  });

  test('is forgotten when it is unregistered, and the guest does not notice', async () => {
    await start();
    const guest = await lab.startVm();
    await unregister('vm1');
    await expect(lab.getVm()).rejects.toMatchObject({ code: status.NOT_FOUND });
    await expect(unregister('vm1')).rejects.toMatchObject({ code: status.NOT_FOUND });
    const { ops } = await guest.waitForTick();
    await guest.waitForTick((tick) => tick.ops > ops);
    await lab.register('vm2', guest.qmpPath);
  });

  test('does not keep the agent from starting when its file is broken', async () => {
    await start();
    await lab.startVm();
    await lab.stopAgent();
    await writeFile(join(lab.stateDir, 'vms.json'), '{"version":1,"value":[{"name":7}]}');
    await lab.startAgent();
    expect(await list()).toEqual([]);
  });
});

test('a new VM on the socket of one that has moved can be registered and moved', async () => {
  await start();
  const old = await lab.startVm();
  await lab.create();
  await lab.end();
  expect((await lab.register('vm1', old.qmpPath)).runState).toBe(VmRunState.MOVED);
  await old.kill();
  const anew = await lab.startGuest('vm1', { qmpPath: old.qmpPath });
  expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED });
  expect(await lab.register('vm1', anew.qmpPath)).toMatchObject({
    runState: VmRunState.RUNNING,
    migrationId: '',
  });
});
