import { describe, expect } from 'vitest';
import { test } from '../kit/lab-test.js';
import type { Machine } from '../kit/machine.js';
import { findFault, liveAlone, makeDisk, migrate, startQemuMove } from '../kit/qemu-move.js';

const MIB = 2 ** 20;

describe('a running QEMU guest moves without a mismatch and lives on alone:', () => {
  test('the machine of the demo', async ({ lab }) => {
    const move = await startQemuMove(lab, {
      blocks: [{ id: 'ram0', sizeBytes: 512 * MIB }],
      workload: { workingSetMiB: 256 },
    });
    const report = await migrate(move, '-p');
    expect(report).toMatchObject({ state: 'COMPLETED', pages: { total: 131072, remaining: 0 } });
    expect(report.pages.demand + report.pages.background + report.pages.removed).toBe(report.pages.total);
    expect(await findFault(move, await liveAlone(move))).toBeNull();
  });

  test('two vCPUs with virtio-blk, virtio-net, balloon and rng', async ({ lab }) => {
    const disk = makeDisk(lab, 16);
    const move = await startQemuMove(lab, {
      blocks: [{ id: 'pc.ram', sizeBytes: 384 * MIB }],
      cpus: 2,
      devices: [
        ...['-drive', `if=none,id=disk0,file=${disk},format=raw,cache=none`],
        ...['-device', 'virtio-blk-pci,drive=disk0'],
        ...['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0'],
        ...['-device', 'virtio-balloon-pci', '-device', 'virtio-rng-pci'],
      ],
      workload: { workingSetMiB: 160, writePercent: 30, disk: true },
    });
    await move.guest.console.waitForTick(({ diskOps }) => diskOps > 100);
    await migrate(move, '-p');
    const life = await liveAlone(move);
    expect(await findFault(move, life)).toBeNull();
    const atMove = (await move.guest.console.lastTick())?.diskOps ?? 0;
    expect(life.at(-1)?.diskOps).toBeGreaterThan(atMove);
  });

  test('several RAM blocks, one of them a memfd', async ({ lab }) => {
    const machine: Machine = {
      blocks: [
        { id: 'node0', sizeBytes: 192 * MIB },
        { id: 'node1', sizeBytes: 128 * MIB, backing: 'memfd' },
      ],
      cpus: 2,
      workload: { workingSetMiB: 160 },
    };
    const move = await startQemuMove(lab, machine);
    const report = await migrate(move, '-p');
    expect(report.pages).toMatchObject({ total: (320 * MIB) / 4096, remaining: 0 });
    expect(await findFault(move, await liveAlone(move))).toBeNull();
  });

  test('all RAM in one memfd', async ({ lab }) => {
    const move = await startQemuMove(lab, {
      blocks: [{ id: 'ram0', sizeBytes: 192 * MIB, backing: 'memfd' }],
      workload: { workingSetMiB: 48, writePercent: 100 },
    });
    await migrate(move, '-p');
    expect(await findFault(move, await liveAlone(move))).toBeNull();
  });
});
