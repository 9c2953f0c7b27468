import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventuallyTrue } from '../kit/eventually.js';
import { Host } from '../kit/host.js';
import type { Lab } from '../kit/lab.js';
import { test } from '../kit/lab-test.js';
import { QEMU } from '../kit/machine.js';
import { umemctl, type UmemctlResult } from '../kit/umemctl.js';

/** Registers a machine of any kind; the guest in it does not matter. */
async function register(lab: Lab, args: readonly string[]): Promise<UmemctlResult> {
  const host = await Host.start(lab, 'source');
  const qmpPath = join(lab.dir, 'qmp.sock');
  const vmm = await lab.start({
    name: 'QEMU',
    command: QEMU,
    args: ['-nodefaults', '-display', 'none', '-S', '-qmp', `unix:${qmpPath},server=on,wait=off`, ...args],
  });
  await eventuallyTrue('QEMU to open its QMP socket', async () => {
    if (!vmm.running) throw new Error(vmm.log);
    return stat(qmpPath).then(
      () => true,
      () => false,
    );
  });
  return umemctl(['vm', 'register', 'vm1', '--agent', host.sourceAgent.address, '--qmp', qmpPath]);
}

describe('a VM that cannot move is refused at registration, with the option that fixes it:', () => {
  test('private RAM', async ({ lab }) => {
    const { exitCode, stderr } = await register(lab, ['-M', 'q35', '-m', '64']);
    expect(exitCode).toBe(3);
    expect(stderr).toContain('share=on');
  });

  test('a RAM file that is mapped privately', async ({ lab }) => {
    const path = join(lab.ramDir, 'ram');
    const object = `memory-backend-file,id=ram0,size=64M,mem-path=${path},share=off`;
    const { exitCode, stderr } = await register(lab, [
      '-M',
      'q35,memory-backend=ram0',
      '-m',
      '64',
      '-object',
      object,
    ]);
    expect(exitCode).toBe(3);
    expect(stderr).toContain('share=on');
  });
});

test('the same machine with the option is accepted', async ({ lab }) => {
  const path = join(lab.ramDir, 'ram');
  const object = `memory-backend-file,id=ram0,size=64M,mem-path=${path},share=on`;
  const { exitCode } = await register(lab, ['-M', 'q35,memory-backend=ram0', '-m', '64', '-object', object]);
  expect(exitCode).toBe(0);
});
