import { MigrationState, type Migration } from '@umem/api';
import { formatBytes, TARGET_PAGE_SIZE } from '@umem/ram';
import { toMigrationStateName } from './enum-names.js';
import { formatCount, formatDuration, formatPages, formatThings } from './format.js';

const WITH_PAGES: readonly MigrationState[] = [
  MigrationState.POSTCOPY_ACTIVE,
  MigrationState.POSTCOPY_DETACHED,
  MigrationState.COMPLETED,
];

/** True when pages move or have moved, so that a bar says something. */
export function hasPages({ state, stats }: Migration): boolean {
  return WITH_PAGES.includes(state) && (stats?.totalPages ?? 0n) > 0n;
}

/**
 * Guest memory that need not be fetched any more, in bytes. The rate is taken of this and not of the
 * network, so that it fits what is left: a page of one value is as much memory as any other.
 */
export function toArrivedBytes({ stats }: Migration): number {
  return Number((stats?.totalPages ?? 0n) - (stats?.remainingPages ?? 0n)) * TARGET_PAGE_SIZE;
}

/** Pages that need not be fetched any more, of all pages; 0 to 1. */
export function toFraction({ stats }: Migration): number {
  const total = stats?.totalPages ?? 0n;
  return total === 0n ? 0 : Number(total - (stats?.remainingPages ?? 0n)) / Number(total);
}

/**
 * What there is to say about a migration in one line, the most important first: a narrow terminal
 * drops from the end. `bytesPerSecond` is null while unknown.
 */
export function toProgressParts(migration: Migration, bytesPerSecond: number | null): string[] {
  const { stats, estimatedRemainingUs, activity, state } = migration;
  if (!hasPages(migration) || !stats)
    return activity === '' || state === MigrationState.FAILED ? [] : [activity];
  const there = stats.totalPages - stats.remainingPages;
  const parts = [`${formatCount(there)}/${formatCount(stats.totalPages)} pages`];
  if (bytesPerSecond !== null && stats.remainingPages > 0n)
    parts.push(`${formatBytes(Math.round(bytesPerSecond))}/s`);
  if (stats.remainingPages > 0n) parts.push(`${formatPages(stats.remainingPages)} left`);
  if (estimatedRemainingUs !== undefined && stats.remainingPages > 0n)
    parts.push(`ETA ${formatDuration(estimatedRemainingUs)}`);
  parts.push(formatThings(stats.faults, 'fault'));
  return parts;
}

/** One plain line, without a terminal's tricks. */
export function formatProgressLine(migration: Migration, bytesPerSecond: number | null): string {
  const state = toMigrationStateName(migration.state);
  const parts = toProgressParts(migration, bytesPerSecond);
  const percent = hasPages(migration) ? [`${Math.floor(toFraction(migration) * 100)} %`] : [];
  const rest = [...percent, ...parts].join(', ');
  return `${migration.vm}: ${state}${rest === '' ? '' : `: ${rest}`}\n`;
}

const BAR_CELLS = 24;
const FEWEST_BAR_CELLS = 8;

/** One line of at most `columns` with a bar in it; `done` and `todo` are one column wide. */
export function formatBarLine(
  migration: Migration,
  bytesPerSecond: number | null,
  columns: number,
  { done, todo }: { done: string; todo: string },
): string {
  const parts = toProgressParts(migration, bytesPerSecond);
  const head = `${migration.vm}  ${toMigrationStateName(migration.state)}  `;
  if (!hasPages(migration)) return `${head}${parts.join('  ')}`.slice(0, columns);
  const fraction = toFraction(migration);
  const percent = `${String(Math.floor(fraction * 100)).padStart(3)} %`;
  const width = (): number => head.length + percent.length + parts.join('  ').length + 3;
  while (parts.length > 1 && width() + FEWEST_BAR_CELLS > columns) parts.pop();
  const cells = Math.max(FEWEST_BAR_CELLS, Math.min(BAR_CELLS, columns - width()));
  const full = Math.round(fraction * cells);
  return `${head}${done.repeat(full)}${todo.repeat(cells - full)} ${percent}  ${parts.join('  ')}`.slice(
    0,
    columns,
  );
}
