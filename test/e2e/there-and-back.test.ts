import { join } from 'node:path';
import { expect } from 'vitest';
import { getIncoming } from '../kit/incoming.js';
import { test } from '../kit/lab-test.js';
import type { Machine } from '../kit/machine.js';
import { qemuProfile } from '../kit/qemu-guest.js';
import { SerialConsole } from '../kit/serial-console.js';
import { findTickFault } from '../kit/ticks.js';
import { umemctlJson } from '../kit/umemctl.js';
import { migrate, startQemuMove, VM } from '../kit/qemu-move.js';

const MIB = 2 ** 20;

test('a guest that has moved can be registered where it is now and move back', async ({ lab }) => {
  const machine: Machine = {
    blocks: [{ id: 'ram0', sizeBytes: 192 * MIB }],
    workload: { workingSetMiB: 64 },
  };
  const move = await startQemuMove(lab, machine);
  await migrate(move, '-p', '--source-after', 'quit');
  await move.guest.process.exited;
  await move.after.waitForTick(() => true);

  const { qmp } = await getIncoming(move.destination, VM);
  const agent = move.destination.sourceAgent.address;
  await umemctlJson(['vm', 'register', VM, '--agent', agent, '--qmp', qmp]);
  const back = new SerialConsole(join(lab.dir, 'serial-back'));
  await move.source.addProfile(VM, qemuProfile(machine, back.path));
  await migrate({ ...move, source: move.destination, destination: move.source }, '-p');

  const here = await back.waitForTick(() => true);
  await back.waitForTick(({ sweeps }) => sweeps >= here.sweeps + 2);
  const consoles = [move.guest.console, move.after, back];
  const life = (await Promise.all(consoles.map((console) => console.ticks()))).flat();
  expect(findTickFault(life)).toBeNull();
});
