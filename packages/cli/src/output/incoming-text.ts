import { IncomingState, UmemState, type Incoming } from '@umem/api';
import { formatBytes } from '@umem/ram';
import { toIncomingStateName, toUmemStateName } from './enum-names.js';
import { formatCount, formatTime } from './format.js';
import { formatTable } from './table.js';

/** What a person who starts the VMM needs, with QEMU's options spelt out. */
export function formatPrepared({ name, ram, env, qmpPath }: Incoming): string {
  const objects = ram.map(({ block, path }) => {
    const size = block?.sizeBytes ?? 0n;
    return `  -object memory-backend-file,id=${block?.blockId ?? ''},size=${size},mem-path=${path},share=on`;
  });
  return [
    `${name} is prepared. Start its VMM with this environment:`,
    ...Object.entries(env).map(([key, value]) => `  ${key}=${quote(value)}`),
    'For QEMU, with the same machine as on the source and these options:',
    ...objects,
    `  -qmp unix:${qmpPath},server=on,wait=off -incoming defer`,
    'Then migrate.',
    '',
  ].join('\n');
}

/** Everything about one incoming VM. */
export function formatIncoming(incoming: Incoming): string {
  const { name, state, ram, qmpPath, migrationId, vmmPid, stats, umemState } = incoming;
  const rows = [
    ['VM', name],
    ['State', toIncomingStateName(state)],
    ...ram.map(({ block, path }) => [
      'RAM',
      `${block?.blockId ?? ''} ${formatBytes(Number(block?.sizeBytes ?? 0n))} in ${path}`,
    ]),
    ['QMP', qmpPath],
    ...(vmmPid === 0 ? [] : [['VMM', `process ${vmmPid}`]]),
    ...(migrationId === '' ? [] : [['Migration', migrationId]]),
    ...(umemState === UmemState.UNSPECIFIED ? [] : [['Umem', toUmemStateName(umemState)]]),
    ...(stats && stats.totalPages > 0n
      ? [['Pages', `${formatCount(stats.remainingPages)} of ${formatCount(stats.totalPages)} missing`]]
      : []),
    ...(incoming.resumedAtUnixUs === 0n ? [] : [['Resumed', formatTime(incoming.resumedAtUnixUs)]]),
    ...(incoming.pageServerLost ? [['Page server', 'lost']] : []),
    ...(state === IncomingState.FAILED ? [['Error', incoming.error]] : []),
  ];
  return formatTable(null, rows);
}

/** For a POSIX shell. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
