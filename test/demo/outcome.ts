import type { MigrationReport } from '../kit/migration-report.js';

/** What the demo saw. */
export interface Outcome {
  readonly migration: MigrationReport;
  readonly guest: {
    readonly mismatches: number;
    /** TICK lines printed on the destination. */
    readonly ticksAfter: number;
    /** Of these, printed after everything of the source was gone. */
    readonly ticksAlone: number;
    /** What is wrong with the order of the ticks, or null. */
    readonly tickFault: string | null;
    /** The guest verified its whole working set after the source was gone. */
    readonly verifiedAlone: boolean;
  };
  /** RAM of the destination's QEMU that still waits for pages. */
  readonly registered: boolean;
  /** Source QEMU and source services had ended when the last ticks were read. */
  readonly sourceGone: boolean;
}

/** One thing that must be so. */
export interface Requirement {
  readonly text: string;
  readonly met: boolean;
}

/** Everything the demo stands for. */
export function requirementsOf({ migration, guest, registered, sourceGone }: Outcome): Requirement[] {
  const { pages } = migration;
  const arrived = pages.demand + pages.background + pages.removed;
  return [
    { text: `the migration is ${migration.state}`, met: migration.state === 'COMPLETED' },
    {
      text: `every page arrived: ${formatCount(arrived)} of ${formatCount(pages.total)}`,
      met: pages.total > 0 && pages.remaining === 0 && arrived === pages.total,
    },
    { text: `the guest saw ${guest.mismatches} mismatches`, met: guest.mismatches === 0 },
    { text: guest.tickFault ?? 'no tick was lost or repeated', met: guest.tickFault === null },
    {
      text: `${registered ? 'some' : 'no'} memory of QEMU is still registered with a userfaultfd`,
      met: !registered,
    },
    { text: `source QEMU and source services are ${sourceGone ? 'gone' : 'still there'}`, met: sourceGone },
    {
      text: `without them the guest ticked ${guest.ticksAlone} times and verified ${
        guest.verifiedAlone ? 'its whole' : 'not even once its'
      } working set`,
      met: guest.ticksAlone > 0 && guest.verifiedAlone,
    },
  ];
}

/** The documented line of `npm run demo -- --json`. */
export function toJsonLine({ migration, guest }: Outcome): string {
  const { pages, faultLatencyUs } = migration;
  return JSON.stringify({
    state: migration.state,
    guest: { mismatches: guest.mismatches, ticksAfter: guest.ticksAfter },
    downtimeMs: migration.downtimeMs,
    totalMs: migration.totalMs,
    pages: {
      total: pages.total,
      demand: pages.demand,
      background: pages.background,
      fill: pages.fill,
      duplicate: pages.duplicate,
    },
    faultLatencyUs: { p50: faultLatencyUs.p50, p99: faultLatencyUs.p99, max: faultLatencyUs.max },
    bytesOnWire: migration.bytesOnWire,
  });
}

/** 131072 as 131,072. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}
