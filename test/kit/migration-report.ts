/** What `umemctl migrate --json` prints at the end; docs/cli.md has the meaning of each key. */
export interface MigrationReport {
  readonly migrationId: string;
  readonly state: string;
  readonly activity: string;
  readonly downtimeMs: number;
  readonly downtime: {
    readonly stopMs: number;
    readonly deviceStateMs: number;
    readonly resumeMs: number;
    readonly deviceStateBytes: number;
  };
  readonly totalMs: number;
  readonly pages: {
    readonly total: number;
    readonly demand: number;
    readonly background: number;
    readonly fill: number;
    readonly duplicate: number;
    readonly removed: number;
    readonly remaining: number;
  };
  readonly faults: number;
  readonly faultLatencyUs: {
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
    readonly count: number;
  };
  readonly bytesOnWire: number;
  readonly touchRequests: number;
  readonly touchedPages: number;
  readonly error: {
    readonly reason: string;
    readonly message: string;
    readonly guestRecoverable: boolean;
  } | null;
}

/** Takes the object for what umemctl promises; throws when a part of the promise is missing. */
export function toMigrationReport(value: unknown): MigrationReport {
  const report = value as MigrationReport;
  const numbers = [
    ...[report.downtimeMs, report.totalMs, report.faults, report.bytesOnWire],
    ...[report.downtime.stopMs, report.downtime.deviceStateMs, report.downtime.resumeMs],
    ...[report.pages.total, report.pages.demand, report.pages.background, report.pages.fill],
    ...[report.pages.duplicate, report.pages.removed, report.pages.remaining],
    ...[report.faultLatencyUs.p50, report.faultLatencyUs.p99, report.faultLatencyUs.max],
  ];
  if (typeof report.state !== 'string' || !numbers.every(Number.isFinite)) {
    throw new Error(`umemctl printed no migration: ${JSON.stringify(value)}`);
  }
  return report;
}
