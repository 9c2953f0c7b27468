import { formatBytes } from '@umem/ram';
import { Lab } from '../kit/lab.js';
import { findFault, liveAlone, migrate, startQemuMove } from '../kit/qemu-move.js';
import type { Measurement, Scenario } from './scenario.js';

const MIB = 2 ** 20;
const WORKING_SET_MIB = 256;

/** The demo's migration with RAM of another size: downtime must not depend on it. */
export function demoGuest(memoryBytes: number): Scenario {
  return {
    name: `demo guest, ${formatBytes(memoryBytes)}`,
    description:
      `A QEMU guest of ${formatBytes(memoryBytes)} that verifies and writes ${WORKING_SET_MIB} MiB moves ` +
      'over loopback while the background runs.',
    ramBytes: memoryBytes,
    round: () => measure(memoryBytes),
  };
}

async function measure(memoryBytes: number): Promise<Measurement> {
  const lab = await Lab.open();
  try {
    const move = await startQemuMove(lab, {
      blocks: [{ id: 'ram0', sizeBytes: memoryBytes }],
      workload: { workingSetMiB: WORKING_SET_MIB },
    });
    const report = await migrate(move, '-p');
    // A fast migration that loses a byte is no result.
    const fault = await findFault(move, await liveAlone(move));
    if (fault !== null) throw new Error(fault);
    return {
      downtimeMs: report.downtimeMs,
      stopMs: report.downtime.stopMs,
      deviceStateMs: report.downtime.deviceStateMs,
      resumeMs: report.downtime.resumeMs,
      totalMs: report.totalMs,
      faults: report.faults,
      faultP50Us: report.faultLatencyUs.p50,
      faultP99Us: report.faultLatencyUs.p99,
      faultMaxUs: report.faultLatencyUs.max,
      wireMiB: report.bytesOnWire / MIB,
    };
  } finally {
    await lab.close();
  }
}
