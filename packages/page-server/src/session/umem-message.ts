import { toBlockMessages, UmemState, type TransferStats, type Umem } from '@umem/api';
import type { UmemSet } from './umem-set.js';

/** A set as it travels, with what it is at this moment. */
export function toUmemMessage(set: UmemSet): Umem {
  return {
    name: set.name,
    state: UmemState[set.state],
    blocks: toBlockMessages(set.memory.shared.blocks),
    handoffSocketPath: set.handoffSocketPath,
    lanesConnected: set.lanesConnected,
    stats: toStats(set),
    error: set.error,
    migrationId: set.migrationId,
  };
}

function toStats({ memory, faults, pendingRequests, recoveries, touches }: UmemSet): TransferStats {
  const { counters } = memory;
  return {
    totalPages: BigInt(memory.totalPages),
    demandPages: counters.get('demandPages'),
    backgroundPages: counters.get('backgroundPages'),
    fillPages: counters.get('fillPages'),
    duplicatePages: counters.get('duplicatePages'),
    removedPages: counters.get('removedPages'),
    remainingPages: BigInt(memory.remainingPages()),
    wireBytes: counters.get('wireBytes'),
    faults: BigInt(faults.faults),
    faultLatency: faults.latency.toMessage(),
    blockedThreads: faults.blocked.toMessages(),
    recoveries: BigInt(recoveries),
    pendingRequests: BigInt(pendingRequests),
    touchRequests: BigInt(touches?.requests ?? 0),
    touchedPages: BigInt(touches?.touchedPages ?? 0),
  };
}
