import { TARGET_PAGE_SIZE } from '@umem/ram';
import { Gauge, type Registry } from 'prom-client';
import type { Migration } from './migration/migration.js';
import type { Migrations } from './migration/migrations.js';
import { migrationStates } from './migration/migration-state.js';
import type { SourceSessions } from './serve/source-sessions.js';
import type { VmRegistry } from './vm/vm-registry.js';

/** What the metrics are read from, each time they are asked for. */
export interface MetricsSources {
  readonly registry: VmRegistry;
  readonly migrations: Migrations;
  readonly sessions: SourceSessions;
}

/** Registers the agent's own metrics; names after libvirt's job statistics where they say the same. */
export function registerMetrics(metrics: Registry, { registry, migrations, sessions }: MetricsSources): void {
  const registers = [metrics];
  new Gauge({
    name: 'umem_vms',
    help: 'Registered VMs, by whether their guest has moved',
    labelNames: ['moved'],
    registers,
    collect() {
      const moved = registry.list().filter(({ record }) => record.moved !== null).length;
      this.set({ moved: 'true' }, moved);
      this.set({ moved: 'false' }, registry.size - moved);
    },
  });
  new Gauge({
    name: 'umem_migrations',
    help: 'Migrations that are remembered, by state',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset();
      for (const state of Object.keys(migrationStates)) this.set({ state }, 0);
      for (const { state } of migrations.list()) this.inc({ state });
    },
  });
  perMigration('umem_memory_total_bytes', 'RAM that moves', (one) => bytes(one.stats?.totalPages));
  perMigration('umem_memory_remaining_bytes', 'RAM that is still missing', (one) =>
    bytes(one.stats?.remainingPages),
  );
  perMigration(
    'umem_downtime_seconds',
    'Pause of the guest, once it is known',
    (one) => Number(one.toMessage().downtime?.totalUs ?? 0n) / 1e6,
  );
  new Gauge({
    name: 'umem_lanes',
    help: "Open lanes of a migration's destination",
    labelNames: ['migration'],
    registers,
    collect() {
      this.reset();
      for (const session of sessions.list()) this.set({ migration: session.migrationId }, session.lanes);
    },
  });
  new Gauge({
    name: 'umem_sent_pages',
    help: "Pages sent to an unfinished migration's destination, by kind; fill pages count in demand or background, too",
    labelNames: ['migration', 'kind'],
    registers,
    collect() {
      this.reset();
      for (const { migrationId: migration, counts } of sessions.list()) {
        if (!counts) continue;
        this.set({ migration, kind: 'demand' }, counts.demandPages);
        this.set({ migration, kind: 'background' }, counts.backgroundPages);
        this.set({ migration, kind: 'fill' }, counts.fillPages);
        this.set({ migration, kind: 'removed' }, counts.removedPages);
        this.set({ migration, kind: 'released' }, counts.releasedPages);
      }
    },
  });
  new Gauge({
    name: 'umem_sent_bytes',
    help: "Bytes of page batches sent to an unfinished migration's destination",
    labelNames: ['migration'],
    registers,
    collect() {
      this.reset();
      for (const { migrationId, counts } of sessions.list())
        if (counts) this.set({ migration: migrationId }, counts.wireBytes);
    },
  });

  function perMigration(name: string, help: string, read: (migration: Migration) => number): void {
    new Gauge({
      name,
      help: `${help}, of unfinished migrations`,
      labelNames: ['migration', 'vm'],
      registers,
      collect() {
        this.reset();
        for (const one of migrations.list())
          if (!one.isFinished) this.set({ migration: one.id, vm: one.vm }, read(one));
      },
    });
  }
}

function bytes(pages: bigint | undefined): number {
  return Number(pages ?? 0n) * TARGET_PAGE_SIZE;
}
