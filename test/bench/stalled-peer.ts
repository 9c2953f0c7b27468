import { setTimeout as delay } from 'node:timers/promises';
import { formatBytes } from '@umem/ram';
import { ProcessMove } from '../kit/process-move.js';
import { requireIntact } from './fault-metrics.js';
import { MemoryWatch } from './memory-watch.js';
import type { Measurement, Scenario } from './scenario.js';
import { UmemWatch } from './umem-watch.js';
import { withLab } from './with-lab.js';

const MIB = 2 ** 20;
const RAM_BYTES = 512 * MIB;
const THREADS = 256;

/** Which end of the lanes stops for a while; the other's memory is measured. */
type Stalled = 'page-server' | 'source-agent';

/** Each end of the lanes while the other one stands still. */
export function stalledPeers(stallMs: number): Scenario[] {
  return (['page-server', 'source-agent'] as const).map((stalled) => ({
    name: `memory, stalled ${stalled}`,
    description:
      `The ${stalled} is stopped (SIGSTOP) for ${stallMs / 1000} s while a process guest of ${formatBytes(RAM_BYTES)} ` +
      `with ${THREADS} threads moves without a limit; the other end's memory before, at most during, and after.`,
    ramBytes: RAM_BYTES,
    rounds: 3,
    round: () => measure(stalled, stallMs),
  }));
}

function measure(stalled: Stalled, stallMs: number): Promise<Measurement> {
  return withLab(async (lab) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [RAM_BYTES],
      workload: { threads: THREADS, thinkUs: 10_000 },
    });
    const after = await move.makeReady();
    const watch = new UmemWatch(move);
    // Slow until the stall begins, so that it begins in the middle.
    await move.startMigrate('-p', '--max-bandwidth', '8MiB');
    await move.waitForMigration(({ state, pages }) => state === 'POSTCOPY_ACTIVE' && pages.background > 1000);
    const source = move.source.sourceAgent.child;
    const pageServer = move.destination.pageServer.child;
    const [peer, other] = stalled === 'page-server' ? [pageServer, source] : [source, pageServer];
    const memory = await MemoryWatch.start(other.pid);
    peer.pause();
    if (peer === pageServer) await move.change('set', '--max-bandwidth', '0');
    await delay(stallMs);
    memory.stop();
    const pending = watch.mostPending;
    peer.unpause();
    if (peer === source) await move.change('set', '--max-bandwidth', '0');
    const { pages, faults } = await move.waitForMigration(({ state }) => state === 'COMPLETED');
    const measured = {
      ...(await memory.measure(peer === pageServer ? 'source' : 'pageServer')),
      // A page server that stands still says nothing.
      ...(peer === source ? { mostPendingRequests: pending } : {}),
      faults,
      duplicatePages: pages.duplicate,
    };
    await requireIntact(after);
    return measured;
  });
}
