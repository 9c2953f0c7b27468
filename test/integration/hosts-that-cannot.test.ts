import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { processGuestPath, startProcessGuest } from '@umem/vmm';
import { describe, expect } from 'vitest';
import { test } from '../kit/lab-test.js';
import { ProcessMove } from '../kit/process-move.js';
import { QmpMonitor } from '../kit/qmp-monitor.js';
import { restrictPath } from '../kit/repository.js';
import { umemctl, umemctlJson } from '../kit/umemctl.js';

const MIB = 2 ** 20;
const BLOCK = 16 * MIB;

const HOSTS = [
  {
    host: 'without userfaultfd',
    lacks: ['no-userfaultfd', 'no-device'],
    check: 'userfaultfd',
    fix: 'CONFIG_USERFAULTFD',
  },
  {
    host: 'whose filter refuses it',
    lacks: ['forbid-userfaultfd', 'no-device'],
    check: 'userfaultfd',
    fix: 'seccomp',
  },
  { host: 'without its features', lacks: ['few-features'], check: 'userfaultfd', fix: 'Boot Linux' },
  { host: 'with too old a kernel', lacks: ['old-kernel'], check: 'kernel', fix: 'Boot Linux' },
] as const;

async function expectSourceRuns({ guest }: ProcessMove): Promise<void> {
  const { ops } = await guest.waitForTick();
  await guest.waitForTick((tick) => tick.ops > ops);
  expect(await guest.verifyAll()).toMatchObject({ mismatches: 0 });
}

describe('a host', () => {
  test.for(HOSTS)(
    '$host starts every service, says what is missing, and refuses before anything is touched',
    async ({ lacks, check, fix }, { lab }) => {
      const move = await ProcessMove.start(lab, { blockSizes: [BLOCK], flags: { destination: { lacks } } });
      await move.register();
      const { sourceAgent } = move.source;
      const { destinationAgent, pageServer } = move.destination;

      const child = await move.startMigrate('-p');
      expect((await child.exited).code).toBe(3);
      const { state, downtimeMs, error } = await move.migration();
      expect({ state, downtimeMs }).toEqual({ state: 'FAILED', downtimeMs: 0 });
      expect(error).toMatchObject({ guestRecoverable: true });
      expect(error?.message).toContain(` ${check}: `);
      expect(error?.message).toContain(fix);
      await expectSourceRuns(move);

      const agents = ['--agent', destinationAgent.address, '--source', sourceAgent.address];
      expect((await umemctl(['incoming', 'prepare', move.vm, ...agents])).exitCode).toBe(3);
      expect(await umemctlJson(['incoming', 'list', '--agent', destinationAgent.address])).toMatchObject({
        incomings: [],
      });
      expect(await umemctlJson(['umem', 'list', '--page-server', pageServer.address])).toMatchObject({
        umems: [],
      });
      expect(await readdir(move.destination.ramDir)).toEqual([]);

      const services = [destinationAgent, pageServer, move.destination.sourceAgent].map(
        ({ address }) => address,
      );
      const doctor = await umemctl(['doctor', '--agent', ...services]);
      expect(doctor.exitCode).toBe(3);
      expect(doctor.stdout).toMatch(new RegExp(`FAIL  ${check} .*Fix: .*${fix}`));
      expect(doctor.stdout.match(/FAIL/g)).toHaveLength(1);
    },
  );

  test('whose VMM alone may make no userfaultfd leaves it working, and the guest stays where it was', async ({
    lab,
  }) => {
    const move = await ProcessMove.start(lab, { blockSizes: [BLOCK] });
    await move.register();
    const prepared = await move.prepare();
    const program = join(lab.dir, 'restricted-guest');
    const words = [restrictPath, 'forbid-userfaultfd', 'no-device', '--', processGuestPath()];
    await writeFile(program, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, { mode: 0o755 });
    const after = await startProcessGuest({
      name: 'restricted',
      dir: await lab.makeDir('guest-restricted'),
      blocks: prepared.ram.map(({ id, path, size }) => ({ id, sizeBytes: size, path })),
      incoming: true,
      env: prepared.env,
      qmpPath: prepared.qmp,
      program,
    });
    lab.cleanup.defer('kill the restricted guest', () => after.kill());
    expect(after.stderr.match(/umem-handoff: .*stays plain memory; .*seccomp/g)).toHaveLength(1);
    const monitor = await QmpMonitor.connect(prepared.qmp);
    expect(await monitor.execute('query-status')).toMatchObject({ status: 'inmigrate' });
    monitor.close();
    expect(after.stderr.trim().split('\n')).toHaveLength(1);

    const child = await move.startMigrate('-p');
    expect((await child.exited).code).not.toBe(0);
    expect(await move.migration()).toMatchObject({
      state: 'FAILED',
      downtimeMs: 0,
      error: { guestRecoverable: true, message: expect.stringContaining('ram0') },
    });
    await expectSourceRuns(move);
  });
});
