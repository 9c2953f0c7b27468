import { toBlockMessages, type Incoming } from '@umem/api';
import { toIncomingState } from '../incoming-state.js';
import type { IncomingParts } from './incoming-parts.js';
import type { IncomingRecord } from './incoming-record.js';

/** An incoming VM as it travels. `vmmPid`: 0 when the VMM was launched by somebody else. */
export function toIncoming(
  record: IncomingRecord,
  { ram, run, env, placement }: IncomingParts,
  vmmPid: number,
): Incoming {
  return {
    name: record.name,
    state: toIncomingState(record.stage),
    ram: ram.files.map(({ block, path }) => ({ block: toBlockMessages([block])[0], path })),
    env: { ...env },
    qmpPath: run.qmpPath,
    migrationId: record.migrationId,
    vmmPid,
    stats: record.umem.stats,
    error: record.error,
    guestRecoverable: record.guestRecoverable,
    umemState: record.umem.state,
    resumedAtUnixUs: record.resumedAtUnixUs,
    pageServerLost: record.pageServerLost,
    placement,
  };
}
