import { streaming, unary, type MigrationServiceServer } from '@umem/api';
import { InvalidArgument } from '@umem/errors';
import { toListResponse } from './migration-list.js';
import type { Migrations } from './migrations.js';

const DEFAULT_INTERVAL_MS = 200;
const MIN_INTERVAL_MS = 50;
const MAX_INTERVAL_MS = 60_000;

/** `umem.v1.MigrationService`. */
export function createMigrationService(migrations: Migrations): MigrationServiceServer {
  return {
    createMigration: unary(async (request) => (await migrations.create(request)).toMessage()),
    getMigration: unary(({ migration }) => migrations.get(migration).toMessage()),
    listMigrations: unary((request) => toListResponse(migrations.list(), request)),
    watchMigration: streaming(async function* ({ migration, intervalMs }, signal) {
      const { changes } = migrations.get(migration);
      for await (const now of changes.subscribe(toInterval(intervalMs), signal)) yield now.toMessage();
    }),
    cancelMigration: unary(async ({ migration }) => (await migrations.cancel(migration)).toMessage()),
    finishMigration: unary(async ({ migration }) => (await migrations.finish(migration)).toMessage()),
    updateMigration: unary(async (request) => (await migrations.update(request)).toMessage()),
    createLaneToken: unary(({ migration }) => migrations.createLaneToken(migration)),
  };
}

function toInterval(intervalMs: number): number {
  if (intervalMs === 0) return DEFAULT_INTERVAL_MS;
  if (intervalMs >= MIN_INTERVAL_MS && intervalMs <= MAX_INTERVAL_MS) return intervalMs;
  throw new InvalidArgument(
    `interval_ms is ${intervalMs}: it must be from ${MIN_INTERVAL_MS} to ${MAX_INTERVAL_MS}, or 0 for ${DEFAULT_INTERVAL_MS}`,
  );
}
