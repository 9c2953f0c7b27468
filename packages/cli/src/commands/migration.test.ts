import {
  MigrationState,
  unary,
  type FinishMigrationRequest,
  type ListMigrationsRequest,
  type UpdateMigrationRequest,
} from '@umem/api';
import { WrongState } from '@umem/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { runCli } from '../run-cli.js';
import { createActive, createCompleted, createMigration } from '../testing/messages.js';
import { ScriptedMigrations } from '../testing/scripted-migrations.js';
import { ScriptedPeer } from '../testing/scripted-peer.js';
import { createTestIo } from '../testing/test-io.js';

let peer: ScriptedPeer;
let migrations: ScriptedMigrations;
afterEach(() => peer.stop());

async function start(overrides = {}) {
  migrations = new ScriptedMigrations();
  peer = await ScriptedPeer.start(migrations.service(overrides));
  const io = createTestIo();
  return { io, run: (...argv: string[]) => runCli(['migration', ...argv, '--agent', peer.address], io) };
}

describe('umemctl migration', () => {
  it('gets one as JSON with the estimate in milliseconds', async () => {
    const { io, run } = await start();
    migrations.migration = createActive();
    expect(await run('get', 'web1', '--json')).toBe(0);
    expect(io.stdout.json()).toMatchObject({
      state: 'POSTCOPY_ACTIVE',
      etaMs: 700,
      pages: { remaining: 65_536 },
    });
  });

  it('gets a failed one without failing itself', async () => {
    const { io, run } = await start();
    migrations.migration = createMigration({ state: MigrationState.FAILED, error: 'No.', errorReason: 'X' });
    expect(await run('get', 'mig-1')).toBe(0);
    expect(io.stdout.text).toMatch(/^Error +X: No\.$/m);
    expect(io.stdout.text).toMatch(/^Guest +down; the error says what is left of it$/m);
  });

  it('lists page by page up to the limit', async () => {
    const asked: ListMigrationsRequest[] = [];
    const { io, run } = await start({
      listMigrations: unary((request: ListMigrationsRequest) => {
        asked.push(request);
        const id = `mig-${asked.length}`;
        return { migrations: [createMigration({ migrationId: id })], nextPageToken: id };
      }),
    });
    expect(await run('list', '--limit', '3', '--json')).toBe(0);
    expect(io.stdout.json()).toMatchObject({
      migrations: [{ migrationId: 'mig-1' }, { migrationId: 'mig-2' }, { migrationId: 'mig-3' }],
    });
    expect(asked).toEqual([
      { pageSize: 3, pageToken: '' },
      { pageSize: 2, pageToken: 'mig-1' },
      { pageSize: 1, pageToken: 'mig-2' },
    ]);
  });

  it('lists in columns', async () => {
    const { io, run } = await start();
    migrations.migration = createActive();
    await run('list');
    expect(io.stdout.text).toMatch(
      /^mig-1 +web1 +POSTCOPY_ACTIVE +50 % +2023-11-14T22:13:20Z +127\.0\.0\.1:7002$/m,
    );
  });

  it('watches with one JSON line per update and ends with the last state', async () => {
    const { io, run } = await start();
    const exit = run('watch', 'web1', '--json', '--quiet');
    await io.stdout.waitFor(/PREPARING/);
    migrations.set(createActive());
    await io.stdout.waitFor(/POSTCOPY_ACTIVE/);
    migrations.set(createCompleted());
    expect(await exit).toBe(0);
    const lines = io.stdout.text.trimEnd().split('\n');
    const states = lines.map((line) => (JSON.parse(line) as { state: string }).state);
    expect(states).toEqual(['PREPARING', 'POSTCOPY_ACTIVE', 'COMPLETED']);
  });

  it('ends like the migration that it watched: 5 for a lost guest, its document once', async () => {
    const { io, run } = await start();
    migrations.migration = createMigration({
      state: MigrationState.FAILED,
      error: 'Gone',
      errorReason: 'SOURCE_LOST',
    });
    expect(await run('watch', 'web1', '--json')).toBe(5);
    expect(io.stdout.json()).toMatchObject({ state: 'FAILED', error: { guestRecoverable: false } });
  });

  it('cancels', async () => {
    const { io, run } = await start();
    expect(await run('cancel', 'web1')).toBe(0);
    expect(io.stdout.text).toBe('mig-1 is cancelled; web1 runs on the source\n');
  });

  it('exits 3 when it is too late to cancel', async () => {
    const { io, run } = await start();
    migrations.migration = createActive();
    expect(await run('cancel', 'web1')).toBe(3);
    expect(io.stderr.text).toBe('umemctl: Migration mig-1 is POSTCOPY_ACTIVE: the guest has moved\n');
  });

  it('refuses a name that cannot be one', async () => {
    const { io, run } = await start();
    expect(await run('get', '')).toBe(2);
    expect(io.stderr.text).toMatch(/neither a migration id nor the name of a VM/);
  });

  it('finishes one that has no background', async () => {
    const asked: FinishMigrationRequest[] = [];
    const finishMigration = unary((request: FinishMigrationRequest) => {
      asked.push(request);
      return createActive();
    });
    const { io, run } = await start({ finishMigration });
    expect(await run('finish', 'web1')).toBe(0);
    expect(io.stdout.text).toBe('mig-1 has background; its remaining pages follow\n');
    expect(await run('finish', 'mig-1', '--json')).toBe(0);
    expect(asked).toEqual([{ migration: 'web1' }, { migration: 'mig-1' }]);
  });

  it('cannot finish one that has ended', async () => {
    const { io, run } = await start({
      finishMigration: unary(() => {
        throw new WrongState('migration mig-1', 'COMPLETED', [], 'there is nothing to finish any more');
      }),
    });
    expect(await run('finish', 'web1')).toBe(3);
    expect(io.stderr.text).toMatch(/COMPLETED/);
  });

  it.each([
    ['8MiB', 8n << 20n, 'mig-1 keeps its background to 8 MiB/s\n'],
    ['1.5GiB/s', 3n << 29n, 'mig-1 keeps its background to 1.5 GiB/s\n'],
    ['0', 0n, 'mig-1 has no limit of its background any more\n'],
  ])('sets the limit to %s', async (text, maxBandwidthBytesPerSecond, says) => {
    const asked: UpdateMigrationRequest[] = [];
    const updateMigration = unary((request: UpdateMigrationRequest) => {
      asked.push(request);
      return createActive();
    });
    const { io, run } = await start({ updateMigration });
    expect(await run('set', 'web1', '--max-bandwidth', text)).toBe(0);
    expect(asked).toEqual([{ migration: 'web1', maxBandwidthBytesPerSecond }]);
    expect(io.stdout.text).toBe(says);
  });
});
