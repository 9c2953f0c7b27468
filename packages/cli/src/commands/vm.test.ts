import { unary, VmRunState, VmServiceService, type RegisterVmRequest, type VmServiceServer } from '@umem/api';
import { HostPrecondition, NotFound } from '@umem/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { runCli } from '../run-cli.js';
import { createVm } from '../testing/messages.js';
import { ScriptedPeer } from '../testing/scripted-peer.js';
import { createTestIo } from '../testing/test-io.js';

let peer: ScriptedPeer;
afterEach(() => peer.stop());

async function run(handlers: Partial<VmServiceServer>, ...argv: string[]) {
  peer = await ScriptedPeer.start({ definition: VmServiceService, handlers });
  const io = createTestIo({ env: { UMEM_AGENT: peer.address } });
  const code = await runCli(['vm', ...argv], io);
  return { code, io };
}

describe('umemctl vm', () => {
  it('registers a VM and shows what was discovered', async () => {
    const requests: RegisterVmRequest[] = [];
    const registerVm = unary((request: RegisterVmRequest) => {
      requests.push(request);
      return createVm();
    });
    const { code, io } = await run({ registerVm }, 'register', 'web1', '--qmp', '/run/vm/web1.qmp');
    expect(code).toBe(0);
    expect(requests).toEqual([{ name: 'web1', qmpPath: '/run/vm/web1.qmp' }]);
    expect(io.stdout.text.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['VM', 'web1'],
      ['State', 'RUNNING'],
      ['Memory', 'ram0 512 MiB'],
      ['VMM', 'QEMU 7.2.22, process 4711'],
      ['QMP', '/run/vm/web1.qmp'],
      [''],
    ]);
  });

  it('passes on why a VM cannot be moved, with exit code 3', async () => {
    const message = 'RAM block "ram0" is private; start QEMU with memory-backend-file,share=on';
    const registerVm = unary(() => {
      throw new HostPrecondition(message);
    });
    const { code, io } = await run({ registerVm }, 'register', 'web1', '--qmp', '/run/vm/web1.qmp');
    expect(code).toBe(3);
    expect(io.stderr.text).toBe(`umemctl: ${message}\n`);
  });

  it('shows one VM as the documented JSON object', async () => {
    const { io } = await run({ getVm: unary(() => createVm()) }, 'get', 'web1', '--json');
    expect(io.stdout.json()).toEqual({
      apiVersion: 'umem/v1',
      name: 'web1',
      state: 'RUNNING',
      qmp: '/run/vm/web1.qmp',
      ram: [{ id: 'ram0', sizeBytes: 536_870_912, hostPageSizeBytes: 4096 }],
      vmmPid: 4711,
      vmmVersion: 'QEMU 7.2.22',
      migrationId: null,
      needsPlacementCache: [],
    });
  });

  it('says which devices need placement cache, in text and as JSON', async () => {
    const vm = createVm({ vhostUserDevices: ['disk0 (vhost-user-blk-pci)', 'net0 (netdev vhost-user)'] });
    const handlers = { getVm: unary(() => vm), listVms: unary(() => ({ vms: [vm] })) };
    const note = 'needs placement cache: disk0 (vhost-user-blk-pci), net0 (netdev vhost-user)';
    for (const args of [['get', 'web1'], ['show', 'web1'], ['list']])
      expect((await run(handlers, ...args)).io.stdout.text, args[0]).toContain(note);
    const { io } = await run(handlers, 'get', 'web1', '--json');
    expect(io.stdout.json()).toMatchObject({ needsPlacementCache: vm.vhostUserDevices });
  });

  it('lists VMs in columns', async () => {
    const moved = createVm({ name: 'db', runState: VmRunState.MOVED, migrationId: 'mig-9', vmmVersion: '' });
    const { io } = await run({ listVms: unary(() => ({ vms: [moved, createVm()] })) }, 'list');
    expect(io.stdout.text.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['VM', 'STATE', 'MEMORY', 'VMM', 'MIGRATION', 'NOTES'],
      ['db', 'MOVED', '512 MiB', 'mig-9'],
      ['web1', 'RUNNING', '512 MiB', 'QEMU 7.2.22'],
      [''],
    ]);
  });

  it('says UNKNOWN for a state that the peer does not know or a newer peer invented', async () => {
    const vms = [createVm({ runState: VmRunState.UNSPECIFIED }), createVm({ runState: 99 as VmRunState })];
    const { io } = await run({ listVms: unary(() => ({ vms })) }, 'list', '--json');
    expect(io.stdout.json()).toMatchObject({ vms: [{ state: 'UNKNOWN' }, { state: 'UNKNOWN' }] });
  });

  it('unregisters', async () => {
    const { code, io } = await run({ unregisterVm: unary(() => ({})) }, 'unregister', 'web1', '--json');
    expect(code).toBe(0);
    expect(io.stdout.json()).toEqual({ apiVersion: 'umem/v1', name: 'web1' });
  });

  it('exits 3 for a VM that nobody knows', async () => {
    const getVm = unary(() => {
      throw new NotFound('No VM "web2" is registered; register it with umemctl vm register');
    });
    const { code, io } = await run({ getVm }, 'get', 'web2', '--json');
    expect(code).toBe(3);
    expect(io.stdout.json()).toEqual({
      apiVersion: 'umem/v1',
      error: {
        reason: 'NOT_FOUND',
        message: 'No VM "web2" is registered; register it with umemctl vm register',
      },
    });
  });

  it.each([
    ['../etc', '/run/a.qmp', /'\.\.\/etc' is invalid for argument 'name'/],
    ['web1', 'a.qmp', /must be absolute/],
  ])('refuses name %s with socket %s before anything is sent', async (name, qmp, reason) => {
    const { code, io } = await run({}, 'register', name, '--qmp', qmp);
    expect(code).toBe(2);
    expect(io.stderr.text).toMatch(reason);
  });
});
