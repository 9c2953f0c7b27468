import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostPrecondition } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownUser } from '../ram/file-owner.js';
import { startTimeOf, watchProcess } from './process-watch.js';
import { VmmLog } from './vmm-log.js';
import { VmmProcess } from './vmm-process.js';

const env = { PATH: process.env['PATH'] ?? '' };
const isRoot = process.geteuid?.() === 0;

describe('VmmProcess', () => {
  let dir: string;
  let log: VmmLog;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'umem-vmm-process-'));
    log = await VmmLog.create(join(dir, 'vmm.log'));
  });
  afterEach(async () => {
    await log.close();
    await rm(dir, { recursive: true, force: true });
  });

  const sh = (script: string): Promise<VmmProcess> =>
    VmmProcess.launch({ command: 'sh', args: ['-c', script] }, env, ownUser(), log);

  it('says how it ended and keeps what it printed on both streams', async () => {
    const vmm = await sh('echo out; echo err >&2; exit 3');
    expect(await vmm.exited).toBe('exited with code 3');
    expect(vmm.exit).toBe('exited with code 3');
    expect((await log.tail()).split('\n').sort()).toEqual(['err', 'out']);
  });

  it('is in a session of its own, so that it outlives the agent', async () => {
    const vmm = await VmmProcess.launch(
      { command: 'cut', args: ['-d', ' ', '-f', '1,5,6', '/proc/self/stat'] },
      env,
      ownUser(),
      log,
    );
    await vmm.exited;
    const [, group, session] = (await log.tail()).split(' ').map(Number);
    expect([group, session]).toEqual([vmm.pid, vmm.pid]);
  });

  it('is killed together with what a wrapper script started', async () => {
    const vmm = await sh('sleep 60 & echo $!; wait');
    let inner = NaN;
    while (Number.isNaN(inner)) inner = Number.parseInt(await log.tail(), 10);
    const innerEnded = new Promise<void>((resolve) => watchProcess(inner, resolve, 5));
    vmm.kill();
    expect(await vmm.exited).toBe('was ended by SIGKILL');
    await innerEnded;
    expect(await startTimeOf(inner)).toBeNull();
    vmm.kill();
  });

  it('that cannot be started is a precondition of the host', async () => {
    const launched = VmmProcess.launch({ command: '/no/such/vmm', args: [] }, env, ownUser(), log);
    await expect(launched).rejects.toThrow(HostPrecondition);
    await expect(launched).rejects.toThrow('Cannot start VMM /no/such/vmm');
  });

  it('takes arguments as they are, not as a shell would', async () => {
    const vmm = await VmmProcess.launch({ command: 'echo', args: ['$HOME; `id`', '*'] }, env, ownUser(), log);
    await vmm.exited;
    expect(await log.tail()).toBe('$HOME; `id` *');
  });

  it.skipIf(!isRoot)('runs as its own user', async () => {
    const nobody = { name: 'nobody', uid: 65534, gid: 65534 };
    const vmm = await VmmProcess.launch({ command: 'id', args: ['-u'] }, env, nobody, log);
    await vmm.exited;
    expect(await log.tail()).toBe('65534');
  });
});

describe('watchProcess', () => {
  it('reports the end of a process that never was', async () => {
    await new Promise<void>((resolve) => watchProcess(2 ** 22 + 1, resolve, 5));
  });

  it('reports nothing after it was stopped', async () => {
    const watch = watchProcess(2 ** 22 + 1, () => expect.unreachable(), 5);
    watch.stop();
    await startTimeOf(process.pid);
    await startTimeOf(process.pid);
  });

  it('tells processes apart by their start', async () => {
    expect(await startTimeOf(process.pid)).toMatch(/^\d+$/);
    expect(await startTimeOf(2 ** 22 + 1)).toBeNull();
  });
});
