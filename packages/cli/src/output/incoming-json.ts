import { IncomingState, UmemState, type Incoming } from '@umem/api';
import { toIncomingStateName, toUmemStateName } from './enum-names.js';
import { orNull } from './json.js';
import { toStatsJson } from './stats-json.js';

/** What a VMM that somebody else starts needs: the whole shape of `incoming prepare --json`. */
export function toPreparedJson({ ram, env, qmpPath }: Incoming): object {
  return {
    ram: ram.map(({ block, path }) => ({
      id: block?.blockId ?? '',
      path,
      size: Number(block?.sizeBytes ?? 0n),
    })),
    env,
    qmp: qmpPath,
  };
}

/** An incoming VM as `--json` shows it: docs/cli.md has the keys. */
export function toIncomingJson(incoming: Incoming): object {
  const { resumedAtUnixUs, umemState, vmmPid } = incoming;
  return {
    name: incoming.name,
    state: toIncomingStateName(incoming.state),
    ...toPreparedJson(incoming),
    migrationId: orNull(incoming.migrationId),
    vmmPid: vmmPid === 0 ? null : vmmPid,
    umemState: umemState === UmemState.UNSPECIFIED ? null : toUmemStateName(umemState),
    resumedAtUnixUs: resumedAtUnixUs === 0n ? null : Number(resumedAtUnixUs),
    pageServerLost: incoming.pageServerLost,
    ...toStatsJson(incoming.stats),
    error:
      incoming.state === IncomingState.FAILED
        ? { message: incoming.error, guestRecoverable: incoming.guestRecoverable }
        : null,
  };
}
