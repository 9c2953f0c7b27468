import { join } from 'node:path';
import { expect } from 'vitest';
import type { IncomingReport } from '../kit/incoming.js';
import { test } from '../kit/lab-test.js';
import { QEMU, qemuArgs, type Machine } from '../kit/machine.js';
import { SerialConsole } from '../kit/serial-console.js';
import { findTickFault } from '../kit/ticks.js';
import { umemctlJson } from '../kit/umemctl.js';
import { liveAlone, migrate, startQemuMove, VM } from '../kit/qemu-move.js';

const MIB = 2 ** 20;

test('a VMM that somebody else starts, with the printed environment and paths, takes the guest', async ({
  lab,
}) => {
  const machine: Machine = {
    blocks: [
      { id: 'low', sizeBytes: 112 * MIB },
      { id: 'high', sizeBytes: 144 * MIB },
    ],
    workload: { workingSetMiB: 96 },
  };
  const move = await startQemuMove(lab, machine);
  const prepared = (await umemctlJson([
    ...['incoming', 'prepare', VM, '--agent', move.destination.destinationAgent.address],
    ...['--source', move.source.sourceAgent.address],
  ])) as IncomingReport;
  const blocks = prepared.ram.map(({ id, size }) => ({ id, size }));
  expect(blocks.toSorted((a, b) => a.size - b.size)).toEqual([
    { id: 'low', size: 112 * MIB },
    { id: 'high', size: 144 * MIB },
  ]);

  const console = new SerialConsole(join(lab.dir, 'serial-self'));
  const vmm = await lab.start({
    name: 'destination QEMU',
    command: QEMU,
    args: qemuArgs(machine, {
      ramPaths: new Map(prepared.ram.map(({ id, path }) => [id, path])),
      qmpPath: prepared.qmp,
      serialPath: console.path,
      incoming: true,
    }),
    env: prepared.env,
  });
  await migrate(move, '-p');
  const life = await liveAlone({ ...move, after: console });
  expect(findTickFault(life)).toBeNull();
  expect(vmm.running).toBe(true);
});
