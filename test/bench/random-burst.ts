import { formatBytes } from '@umem/ram';
import { ProcessMove, reportOf } from '../kit/process-move.js';
import { faultMetrics, requireIntact } from './fault-metrics.js';
import { MemoryWatch } from './memory-watch.js';
import type { Measurement, Scenario } from './scenario.js';
import { UmemWatch } from './umem-watch.js';
import { withLab } from './with-lab.js';

const RAM_BYTES = 2 ** 30;
const THREADS = 1024;

/** A guest that wants everything at once. */
export function randomBurst(): Scenario {
  return {
    name: `memory, ${formatBytes(RAM_BYTES)} at random`,
    description:
      `A process guest with ${THREADS} threads touches ${formatBytes(RAM_BYTES)} at random, all threads at once, when it resumes; ` +
      'both ends’ memory before, at most during, and after the migration.',
    ramBytes: RAM_BYTES,
    rounds: 3,
    round: measure,
  };
}

function measure(): Promise<Measurement> {
  return withLab(async (lab) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [RAM_BYTES],
      // Its threads do little by themselves: the processors are the services' while it waits.
      workload: { threads: THREADS, thinkUs: 200_000, writePercent: 0, tickMs: 10 },
    });
    const after = await move.makeReady();
    const watch = new UmemWatch(move);
    const source = await MemoryWatch.start(move.source.sourceAgent.child.pid);
    const pageServer = await MemoryWatch.start(move.destination.pageServer.child.pid);
    const migrating = await move.startMigrate('-p');
    // Its first sign of life after the move.
    await after.waitForTick();
    await after.touchAll();
    const report = await reportOf(migrating);
    for (const memory of [source, pageServer]) memory.stop();
    const measured = {
      ...(await source.measure('source')),
      ...(await pageServer.measure('pageServer')),
      mostPendingRequests: watch.mostPending,
      ...faultMetrics(report),
      totalMs: report.totalMs,
    };
    await requireIntact(after);
    return measured;
  });
}
