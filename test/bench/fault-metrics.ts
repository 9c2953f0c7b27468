import type { ProcessGuest } from '@umem/vmm';
import type { MigrationReport } from '../kit/migration-report.js';
import type { Measurement } from './scenario.js';

/** What a migration's report says of faults. */
export function faultMetrics({ faults, faultLatencyUs }: MigrationReport): Measurement {
  return { faults, faultP50Us: faultLatencyUs.p50, faultP99Us: faultLatencyUs.p99 };
}

/** A fast migration that loses a byte is no result: throws for a page that is not what the guest wrote. */
export async function requireIntact(guest: ProcessGuest): Promise<void> {
  const { mismatches, pages } = await guest.verifyAll();
  if (mismatches > 0) throw new Error(`${mismatches} of ${pages} pages are wrong:\n${guest.stderr}`);
}
