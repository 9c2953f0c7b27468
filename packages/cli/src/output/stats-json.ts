import type { Downtime, LatencyHistogram, TransferStats } from '@umem/api';
import { toMs } from './json.js';

/** Where each page came from; `total` = demand + background + removed + remaining. */
export interface PagesJson {
  readonly total: number;
  readonly demand: number;
  readonly background: number;
  readonly fill: number;
  readonly duplicate: number;
  readonly removed: number;
  readonly remaining: number;
}

export interface StatsJson {
  readonly pages: PagesJson;
  readonly faults: number;
  readonly faultLatencyUs: { p50: number; p99: number; max: number; count: number };
  readonly bytesOnWire: number;
  readonly recoveries: number;
  readonly touchRequests: number;
  readonly touchedPages: number;
}

export function toStatsJson(stats: TransferStats | undefined): StatsJson {
  return {
    pages: {
      total: Number(stats?.totalPages ?? 0n),
      demand: Number(stats?.demandPages ?? 0n),
      background: Number(stats?.backgroundPages ?? 0n),
      fill: Number(stats?.fillPages ?? 0n),
      duplicate: Number(stats?.duplicatePages ?? 0n),
      removed: Number(stats?.removedPages ?? 0n),
      remaining: Number(stats?.remainingPages ?? 0n),
    },
    faults: Number(stats?.faults ?? 0n),
    faultLatencyUs: toLatencyJson(stats?.faultLatency),
    bytesOnWire: Number(stats?.wireBytes ?? 0n),
    recoveries: Number(stats?.recoveries ?? 0n),
    touchRequests: Number(stats?.touchRequests ?? 0n),
    touchedPages: Number(stats?.touchedPages ?? 0n),
  };
}

function toLatencyJson(latency: LatencyHistogram | undefined): StatsJson['faultLatencyUs'] {
  return {
    p50: Number(latency?.p50Us ?? 0n),
    p99: Number(latency?.p99Us ?? 0n),
    max: Number(latency?.maxUs ?? 0n),
    count: Number(latency?.count ?? 0n),
  };
}

export function toDowntimeJson(downtime: Downtime | undefined): {
  downtimeMs: number;
  downtime: { stopMs: number; deviceStateMs: number; resumeMs: number; deviceStateBytes: number };
} {
  return {
    downtimeMs: toMs(downtime?.totalUs ?? 0n),
    downtime: {
      stopMs: toMs(downtime?.stopUs ?? 0n),
      deviceStateMs: toMs(downtime?.deviceStateUs ?? 0n),
      resumeMs: toMs(downtime?.resumeUs ?? 0n),
      deviceStateBytes: Number(downtime?.deviceStateBytes ?? 0n),
    },
  };
}
