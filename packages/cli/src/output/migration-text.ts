import { MigrationState, SourceAfter, type Migration } from '@umem/api';
import { formatBytes } from '@umem/ram';
import { toMigrationStateName } from './enum-names.js';
import { formatCount, formatDuration, formatPages, formatThings, formatTime } from './format.js';
import type { Paint } from './style.js';
import { formatTable } from './table.js';

/** What a completed migration was like, for somebody who watched it. */
export function formatSummary(migration: Migration, paint: Paint): string {
  const { vm, destinationAddress, totalUs, options } = migration;
  const head = `${paint('bold', vm)} runs on ${destinationAddress}: moved in ${formatDuration(totalUs)}, paused for ${paint('bold', formatDuration(migration.downtime?.totalUs ?? 0n))}.`;
  const source =
    options?.sourceAfter === SourceAfter.QUIT
      ? 'has quit'
      : 'stays on its host, stopped; it must not run again. Its VMM can quit.';
  const rows = [...toFacts(migration), ['Source VM', source]];
  return `${head}\n${indent(formatTable(null, rows))}`;
}

/** Everything about one migration. */
export function formatMigration(migration: Migration): string {
  const { migrationId, vm, state, destinationAddress, createdAtUnixUs, totalUs, activity } = migration;
  const rows = [
    ['Migration', migrationId],
    ['VM', vm],
    ['Destination', destinationAddress],
    ['State', toMigrationStateName(state)],
    ...(activity === '' ? [] : [['Activity', activity]]),
    ['Created', formatTime(createdAtUnixUs)],
    ['Took', formatDuration(totalUs)],
    ...(migration.estimatedRemainingUs === undefined
      ? []
      : [['Left', `about ${formatDuration(migration.estimatedRemainingUs)}`]]),
    ['Downtime', formatDuration(migration.downtime?.totalUs ?? 0n)],
    ...toFacts(migration),
    ...(state === MigrationState.FAILED
      ? [
          ['Error', `${migration.errorReason}: ${migration.error}`],
          ['Guest', migration.guestRecoverable ? 'lost nothing' : 'down; the error says what is left of it'],
        ]
      : []),
  ];
  return formatTable(null, rows);
}

/** A row of `migration list`. */
export function toMigrationRow(migration: Migration): string[] {
  const { migrationId, vm, state, destinationAddress, createdAtUnixUs, stats } = migration;
  const total = stats?.totalPages ?? 0n;
  const there = total - (stats?.remainingPages ?? 0n);
  return [
    migrationId,
    vm,
    toMigrationStateName(state),
    total === 0n ? '' : `${Number((there * 100n) / total)} %`,
    formatTime(createdAtUnixUs),
    destinationAddress,
    migration.errorReason,
  ];
}

export const MIGRATION_HEAD = ['MIGRATION', 'VM', 'STATE', 'PAGES', 'CREATED', 'DESTINATION', 'REASON'];

function toFacts({ downtime, stats, totalUs }: Migration): string[][] {
  const facts: string[][] = [];
  if (downtime && downtime.totalUs > 0n)
    facts.push([
      'Pause',
      `stop ${formatDuration(downtime.stopUs)}, device state ${formatDuration(downtime.deviceStateUs)} ` +
        `(${formatBytes(Number(downtime.deviceStateBytes))}), resume ${formatDuration(downtime.resumeUs)}`,
    ]);
  if (!stats) return facts;
  facts.push([
    'Memory',
    `${formatPages(stats.totalPages)}: ${formatCount(stats.demandPages)} pages on demand, ` +
      `${formatCount(stats.backgroundPages)} in the background` +
      note(stats.fillPages, 'of one value') +
      note(stats.removedPages, 'given up by the guest') +
      note(stats.duplicatePages, 'sent twice') +
      note(stats.remainingPages, 'missing'),
  ]);
  const latency = stats.faultLatency;
  facts.push([
    'Faults',
    latency && latency.count > 0n
      ? `${formatCount(stats.faults)}: half within ${formatDuration(latency.p50Us)}, 99 % within ` +
        `${formatDuration(latency.p99Us)}, longest ${formatDuration(latency.maxUs)}`
      : formatCount(stats.faults),
  ]);
  if (stats.touchRequests > 0n)
    facts.push([
      'Touching',
      `${formatThings(stats.touchRequests, 'request')}, ${formatThings(stats.touchedPages, 'page')} touched`,
    ]);
  const seconds = Number(totalUs) / 1e6;
  const bytes = Number(stats.wireBytes);
  facts.push([
    'Network',
    formatBytes(bytes) +
      (seconds > 0 ? `, ${formatBytes(bytes / seconds)}/s over all` : '') +
      (stats.recoveries > 0n ? `, ${formatThings(stats.recoveries, 'recovery').replace(/ys$/, 'ies')}` : ''),
  ]);
  return facts;
}

function note(pages: bigint, what: string): string {
  return pages === 0n ? '' : `, ${formatCount(pages)} ${what}`;
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}
