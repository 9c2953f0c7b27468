import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually, eventuallyTrue } from '../kit/eventually.js';
import { test } from '../kit/lab-test.js';
import { monitorPath } from '../kit/machine.js';
import { toMigrationReport } from '../kit/migration-report.js';
import { reportOf } from '../kit/process-move.js';
import { findFault, liveAlone, startQemuMove, VM } from '../kit/qemu-move.js';
import { QmpMonitor } from '../kit/qmp-monitor.js';
import { startUmemctl, umemctlJson } from '../kit/umemctl.js';

const MIB = 2 ** 20;
const BALLOON_BYTES = 128 * MIB;

test('a balloon that is inflated in the middle of a migration takes pages that are never sent', async ({
  lab,
}) => {
  const monitor = join(lab.dir, 'monitor');
  const move = await startQemuMove(lab, {
    blocks: [{ id: 'ram0', sizeBytes: 320 * MIB }],
    devices: ['-device', 'virtio-balloon-pci'],
    // Else the guest writes zeros to what it gives up, and so has it demanded first.
    kernelOptions: ['init_on_alloc=0'],
    monitor,
    workload: { workingSetMiB: 48, writePercent: 30 },
  });
  const agent = move.source.sourceAgent.address;
  const hosts = ['--source', agent, '--destination', move.destination.destinationAgent.address];
  // Without background the memory that the guest does not use is missing when the balloon takes it.
  const flags = ['-p', '--no-background', '--json'];
  const migrating = await startUmemctl(lab, ['migrate', VM, ...hosts, ...flags]);
  const look = async () => toMigrationReport(await umemctlJson(['migration', 'get', VM, '--agent', agent]));
  await eventuallyTrue(
    'the guest to run on the destination',
    async () => (await look().catch(() => null))?.state === 'POSTCOPY_ACTIVE',
    60_000,
  );
  const qmp = await QmpMonitor.connect(monitorPath(monitor, true));
  try {
    await qmp.execute('balloon', { value: 320 * MIB - BALLOON_BYTES });
    await eventually(
      'the guest to give memory up',
      async () => {
        const { actual } = (await qmp.execute('query-balloon')) as { actual: number };
        return actual <= 320 * MIB - BALLOON_BYTES ? actual : null;
      },
      60_000,
    );
  } finally {
    qmp.close();
  }
  await umemctlJson(['migration', 'finish', VM, '--agent', agent]);
  const report = await reportOf(migrating);
  expect(report).toMatchObject({ state: 'COMPLETED', pages: { remaining: 0 } });
  expect(report.pages.removed).toBeGreaterThan(BALLOON_BYTES / 4096 / 2);
  const { total, demand, background, removed } = report.pages;
  expect(demand + background + removed).toBe(total);
  expect(await findFault(move, await liveAlone(move))).toBeNull();
});
