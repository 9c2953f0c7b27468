import { TARGET_PAGE_SIZE, formatBytes } from '@umem/ram';

/** 131,072 */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString('en-US');
}

/** One thing or several: `1 fault`, `231 faults`. */
export function formatThings(count: number | bigint, thing: string): string {
  return `${formatCount(count)} ${thing}${Number(count) === 1 ? '' : 's'}`;
}

/** Bytes of a number of target pages. */
export function formatPages(pages: bigint): string {
  return formatBytes(Number(pages) * TARGET_PAGE_SIZE);
}

/** A duration for people: `412 µs`, `41.2 ms`, `1.42 s`, `2 min 5 s`. */
export function formatDuration(us: number | bigint): string {
  const value = Number(us);
  if (value < 1_000) return `${Math.round(value)} µs`;
  if (value < 10_000) return `${(value / 1e3).toFixed(2)} ms`;
  if (value < 1_000_000) return `${(value / 1e3).toFixed(value < 100_000 ? 1 : 0)} ms`;
  if (value < 60_000_000) return `${(value / 1e6).toFixed(value < 10_000_000 ? 2 : 1)} s`;
  const seconds = Math.round(value / 1e6);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.round((seconds % 3_600) / 60)} min`;
}

/** A moment of Unix time as people of any place read it. */
export function formatTime(unixUs: bigint): string {
  return unixUs === 0n ? '' : new Date(Number(unixUs / 1000n)).toISOString().replace(/\.\d+Z$/, 'Z');
}
