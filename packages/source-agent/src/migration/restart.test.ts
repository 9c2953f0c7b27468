import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IncomingState, MigrationState, VmRunState } from '@umem/api';
import { connectQemu } from '@umem/vmm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentLab } from '../testing/agent-lab.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

let lab: AgentLab;
beforeEach(async () => {
  lab = await AgentLab.start();
  await lab.stopAgent();
});
afterEach(() => lab.stop());

/** The agent as a process of its own, so that it can be killed. */
async function spawnAgent(): Promise<ChildProcess> {
  const args = [MAIN, '--listen', '127.0.0.1:0', '--state-dir', lab.stateDir];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  lab.defer(() => child.kill('SIGKILL'));
  await new Promise<void>((resolve) => {
    child.stderr?.on('data', (lines: Buffer) => {
      if (lines.includes('"event":"listening"')) resolve();
    });
  });
  lab.dial((await readFile(join(lab.stateDir, 'address'), 'utf8')).trim());
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

function reached(step: 'connect' | 'load' | 'resume'): Promise<void> {
  return new Promise((resolve) => {
    lab.destination.script[step] = () => {
      resolve();
      return new Promise(() => {});
    };
  });
}

test.each(['connect', 'load'] as const)(
  'an agent killed at %s gives the guest back when it starts again',
  async (step) => {
    const agent = await spawnAgent();
    const guest = await lab.startVm();
    const there = reached(step);
    await lab.create();
    await there;
    await kill(agent);
    await spawnAgent();
    const end = await lab.end();
    expect(end).toMatchObject({
      state: MigrationState.FAILED,
      errorReason: 'AGENT_RESTARTED',
      guestRecoverable: true,
    });
    const { ops } = guest.lastTick ?? { ops: 0 };
    expect((await guest.waitForTick((tick) => tick.ops > ops)).mismatches).toBe(0);
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.RUNNING });
    await lab.destination.aborted;
    delete lab.destination.script[step];
    await lab.create();
    expect(await lab.end()).toMatchObject({ state: MigrationState.COMPLETED });
  },
);

test.each([
  ['completed', IncomingState.COMPLETED, MigrationState.COMPLETED],
  ['failed', IncomingState.FAILED, MigrationState.FAILED],
])(
  'an agent killed once Resume was sent never runs the guest again; the destination has %s',
  async (_, found, state) => {
    const agent = await spawnAgent();
    const guest = await lab.startVm();
    const there = reached('resume');
    await lab.create();
    await there;
    await kill(agent);
    lab.destination.change({ state: found, error: 'no source', stats: lab.destination.stats(3) });
    await spawnAgent();
    expect(await lab.end()).toMatchObject({ state, stats: { remainingPages: 3n } });
    expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED });
    const vmm = await connectQemu(guest.qmpPath);
    expect(await vmm.runState()).toBe('stopped');
    vmm.close();
    expect(lab.destination.calls).not.toContain('abort');
    await expect(lab.create()).rejects.toMatchObject({ current: 'MOVED' });
  },
);

test('an agent killed while pages follow starts again, and takes the destination at its word', async () => {
  lab.destination.autoFinish = false;
  const agent = await spawnAgent();
  await lab.startVm();
  await lab.create();
  await lab.until(MigrationState.POSTCOPY_ACTIVE);
  expect(await lab.getVm()).toMatchObject({ runState: VmRunState.MOVED });
  await kill(agent);
  lab.destination.change({
    state: IncomingState.FAILED,
    error: 'no source',
    stats: lab.destination.stats(3),
  });
  await spawnAgent();
  expect(await lab.end()).toMatchObject({
    state: MigrationState.FAILED,
    stats: { remainingPages: 3n },
    errorReason: 'AGENT_RESTARTED',
    guestRecoverable: false,
  });
  await expect(lab.create()).rejects.toMatchObject({ current: 'MOVED' });
});

test('finished migrations are remembered, as many as asked for', async () => {
  await lab.startAgent();
  await lab.startVm('vm1', { paused: true });
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    ids.push((await lab.create()).migrationId);
    await lab.end();
  }
  await lab.stopAgent();
  const anew = await AgentLab.start({ stateDir: lab.stateDir, keepFinished: 2 });
  lab.defer(() => anew.stop());
  expect(await anew.getMigration(ids[2])).toMatchObject({
    state: MigrationState.FAILED,
    errorReason: 'GUEST_NOT_RUNNING',
  });
  await anew.create();
  await anew.end();
  await expect.poll(() => anew.getMigration(ids[0]).catch(() => null)).toBeNull();
});
