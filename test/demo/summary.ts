import { formatBytes } from '@umem/ram';
import { formatCount, requirementsOf, type Outcome } from './outcome.js';
import type { Screen } from './screen.js';

/** Shows what was measured and whether everything is as it must be. */
export function showSummary(screen: Screen, outcome: Outcome): void {
  const { migration, guest } = outcome;
  const { downtime, pages, faultLatencyUs } = migration;
  screen.line();
  screen.table([
    [
      'Downtime',
      formatMs(migration.downtimeMs),
      `stop ${formatMs(downtime.stopMs)}, device state ${formatMs(downtime.deviceStateMs)} ` +
        `(${formatBytes(downtime.deviceStateBytes)}), resume ${formatMs(downtime.resumeMs)}`,
    ],
    ['Total time', formatMs(migration.totalMs), ''],
    [
      'Pages',
      formatCount(pages.total),
      `${formatCount(pages.demand)} on demand, ${formatCount(pages.background)} in the background`,
    ],
    ['  of one value', formatCount(pages.fill), 'sent as that value alone'],
    ['  sent twice', formatCount(pages.duplicate), 'dropped on arrival'],
    ['On the wire', formatBytes(migration.bytesOnWire), ''],
    [
      'Fault latency',
      `${formatUs(faultLatencyUs.p50)} median`,
      `p99 ${formatUs(faultLatencyUs.p99)}, longest ${formatUs(faultLatencyUs.max)}, ` +
        `${formatCount(migration.faults)} faults`,
    ],
    ['Guest', `${guest.mismatches} mismatches`, `${guest.ticksAfter} ticks on the destination`],
  ]);
  screen.line();
  screen.table(requirementsOf(outcome).map(({ met, text }) => [met ? 'ok' : 'NOT OK', text]));
}

function formatMs(ms: number): string {
  return ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function formatUs(us: number): string {
  return us < 1000 ? `${us} µs` : formatMs(us / 1000);
}
