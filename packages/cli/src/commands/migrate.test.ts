import { MigrationState, Placement, SourceAfter, streaming, unary } from '@umem/api';
import { HostPrecondition, NotFound, PeerUnavailable } from '@umem/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { runCli } from '../run-cli.js';
import { createActive, createCompleted, createStats } from '../testing/messages.js';
import { ScriptedMigrations } from '../testing/scripted-migrations.js';
import { ScriptedPeer } from '../testing/scripted-peer.js';
import { createTestIo, type TestIo } from '../testing/test-io.js';

let peer: ScriptedPeer;
afterEach(() => peer.stop());

async function startSource(overrides = {}): Promise<ScriptedMigrations> {
  const migrations = new ScriptedMigrations();
  peer = await ScriptedPeer.start(migrations.service(overrides));
  return migrations;
}

function migrate(io: TestIo, ...flags: string[]): Promise<number> {
  return runCli(
    ['migrate', 'web1', '--source', peer.address, '--destination', '127.0.0.1:7002', ...flags],
    io,
  );
}

describe('umemctl migrate', () => {
  it('asks for what the flags say and for a new request_id each time', async () => {
    const migrations = await startSource();
    migrations.migration = createCompleted();
    const flags = [
      '-p',
      '--postcopy-flags',
      '1',
      '--placement',
      'cache',
      '--max-bandwidth',
      '64MiB',
      '--release-ram',
      '--source-after',
    ];
    await migrate(createTestIo(), ...flags, 'quit', '--timeout', '2m', '--profile', 'web');
    await migrate(createTestIo(), '-n', '--source-address', '10.0.0.1:7001');
    const [first, second] = migrations.requests;
    expect(first).toMatchObject({
      vm: 'web1',
      destinationAddress: '127.0.0.1:7002',
      profile: 'web',
      sourceAddress: '',
      options: {
        noBackground: false,
        postcopyFlags: 1,
        placement: Placement.CACHE,
        maxBandwidthBytesPerSecond: 64n << 20n,
        releaseRam: true,
        sourceAfter: SourceAfter.QUIT,
        timeoutSeconds: 120,
      },
    });
    expect(second).toMatchObject({ profile: '', sourceAddress: '10.0.0.1:7001' });
    expect(second?.options).toEqual({
      noBackground: true,
      postcopyFlags: 0,
      maxBandwidthBytesPerSecond: 0n,
      releaseRam: false,
      sourceAfter: SourceAfter.KEEP,
      timeoutSeconds: 0,
      placement: Placement.COPY,
    });
    expect(first?.requestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    expect(second?.requestId).not.toBe(first?.requestId);
  });

  it('writes one line per state to stderr and the summary to stdout when nobody sits at a terminal', async () => {
    const migrations = await startSource();
    const io = createTestIo();
    const exit = migrate(io);
    await io.stderr.waitFor(/PREPARING/);
    migrations.set({ state: MigrationState.FREEZING });
    await io.stderr.waitFor(/FREEZING/);
    migrations.set(createActive());
    await io.stderr.waitFor(/POSTCOPY_ACTIVE/);
    migrations.set(createCompleted());
    expect(await exit).toBe(0);
    expect(io.stderr.text.split('\n')).toEqual([
      'web1: PREPARING',
      'web1: FREEZING',
      expect.stringMatching(
        /^web1: POSTCOPY_ACTIVE: 50 %, 65,536\/131,072 pages, .*256 MiB left, ETA 700 ms, 240 faults$/,
      ),
      expect.stringMatching(/^web1: COMPLETED: 100 %, 131,072\/131,072 pages, 240 faults$/),
      '',
    ]);
    expect(io.stdout.text).toContain('web1 runs on 127.0.0.1:7002: moved in 1.42 s, paused for 41.2 ms.');
    expect(io.stdout.text).toContain('231 pages on demand');
    expect(io.stdout.text).not.toContain('\u001b');
  });

  it('prints exactly the documented JSON object at the end with --json', async () => {
    const migrations = await startSource();
    migrations.migration = createCompleted();
    const io = createTestIo();
    expect(await migrate(io, '--json')).toBe(0);
    expect(io.stdout.json()).toEqual({
      apiVersion: 'umem/v1',
      migrationId: 'mig-1',
      vm: 'web1',
      state: 'COMPLETED',
      activity: '',
      destination: '127.0.0.1:7002',
      downtimeMs: 41.237,
      downtime: { stopMs: 1.1, deviceStateMs: 36.037, resumeMs: 4.1, deviceStateBytes: 626_688 },
      totalMs: 1420,
      pages: {
        total: 131_072,
        demand: 231,
        background: 130_841,
        fill: 65_000,
        duplicate: 12,
        removed: 0,
        remaining: 0,
      },
      faults: 240,
      faultLatencyUs: { p50: 210, p99: 1_900, max: 4_200, count: 231 },
      bytesOnWire: 270_000_000,
      recoveries: 0,
      touchRequests: 0,
      touchedPages: 0,
      etaMs: null,
      error: null,
    });
  });

  it('exits 3 when the migration failed and the guest lost nothing', async () => {
    const migrations = await startSource();
    const error = 'The VMM did not connect within 30 s. Start it with the printed environment';
    migrations.set({ state: MigrationState.FAILED, error, errorReason: 'TIMEOUT', guestRecoverable: true });
    const io = createTestIo();
    expect(await migrate(io, '--json')).toBe(3);
    expect(io.stdout.json()).toMatchObject({
      state: 'FAILED',
      error: { reason: 'TIMEOUT', message: error, guestRecoverable: true },
    });
    expect(io.stderr.text).toContain(`umemctl: Migration mig-1 of web1 failed: ${error}\n`);
  });

  it('exits 5 when the guest is lost', async () => {
    const migrations = await startSource();
    migrations.set({
      ...createActive(),
      state: MigrationState.FAILED,
      error: 'The source is gone and 65536 pages are missing',
      errorReason: 'SOURCE_LOST',
      stats: createStats({ remainingPages: 65_536n }),
    });
    const io = createTestIo();
    expect(await migrate(io)).toBe(5);
    expect(io.stdout.text).toBe('');
    expect(io.stderr.text).toMatch(
      /umemctl: Migration mig-1 of web1 failed and its guest is down: .* 65536 pages are missing\n$/,
    );
  });

  it('exits 4 with one sentence when the source-agent does not answer', async () => {
    await startSource();
    peer.die();
    const io = createTestIo();
    expect(await migrate(io)).toBe(4);
    expect(io.stderr.text).toMatch(/^umemctl: Cannot reach source-agent unix:[^\n]*\n$/);
    expect(io.stdout.text).toBe('');
  });

  it.each([
    [new NotFound('No VM "web1" is registered'), 3],
    [new HostPrecondition('The VM has moved'), 3],
    [new Error('a bug'), 70],
  ])('reports the refusal %s with exit code %i', async (refusal, code) => {
    await startSource({
      createMigration: unary(() => {
        throw refusal;
      }),
    });
    const io = createTestIo();
    expect(await migrate(io, '--json')).toBe(code);
    expect(io.stdout.json()).toMatchObject({
      error: { message: expect.stringContaining(refusal.message) as string },
    });
    expect(io.stderr.text).toMatch(/^umemctl: [^\n]+\n$/);
    expect(io.stderr.text).not.toContain('    at ');
  });

  it('repeats a create call whose answer was lost, with the same request_id', async () => {
    const requestIds: string[] = [];
    const migrations = await startSource({
      createMigration: unary((request: { requestId: string }) => {
        requestIds.push(request.requestId);
        if (requestIds.length < 3) throw new PeerUnavailable('going down');
        return createCompleted();
      }),
    });
    migrations.migration = createCompleted();
    expect(await migrate(createTestIo())).toBe(0);
    expect(requestIds).toHaveLength(3);
    expect(new Set(requestIds).size).toBe(1);
  });

  it('returns at once with --detach', async () => {
    const migrations = await startSource();
    const io = createTestIo();
    expect(await migrate(io, '--detach', '--json')).toBe(0);
    expect(io.stdout.json()).toMatchObject({
      migrationId: 'mig-1',
      state: 'PREPARING',
      etaMs: null,
      error: null,
    });
    expect(migrations.watchers).toBe(0);
  });

  it('says nothing about progress with --quiet', async () => {
    const migrations = await startSource();
    migrations.migration = createCompleted();
    const io = createTestIo();
    expect(await migrate(io, '--quiet', '--json')).toBe(0);
    expect(io.stderr.text).toBe('');
  });

  it('survives an agent that dies in the middle and comes back', async () => {
    const migrations = await startSource();
    const io = createTestIo();
    const exit = migrate(io);
    await io.stderr.waitFor(/PREPARING/);
    migrations.set(createActive());
    await io.stderr.waitFor(/POSTCOPY_ACTIVE/);
    peer.die();
    await io.stderr.waitFor(
      /Lost contact with source-agent .*\. The migration does not need umemctl; trying again\./,
    );
    await peer.comeBack();
    await io.stderr.waitFor(/In contact with source-agent .* again\./);
    migrations.set(createCompleted());
    expect(await exit).toBe(0);
    expect(io.stderr.text.match(/Lost contact/g)).toHaveLength(1);
    expect(migrations.requests).toHaveLength(1);
  });

  it('gives up with exit code 4 when the agent stays away', async () => {
    await startSource();
    const io = createTestIo();
    const exit = migrate(io, '--reconnect-timeout', '1');
    await io.stderr.waitFor(/PREPARING/);
    peer.die();
    expect(await exit).toBe(4);
    expect(io.stderr.text).toMatch(/umemctl: No contact with .* for 1 s: .*umemctl migration get mig-1/);
  });

  it('reports an agent that came back without its memory', async () => {
    let lost = false;
    const migrations = new ScriptedMigrations();
    const { definition, handlers } = migrations.service();
    peer = await ScriptedPeer.start({
      definition,
      handlers: {
        ...handlers,
        watchMigration: streaming(async function* (_request: unknown, signal: AbortSignal) {
          if (lost) throw new NotFound('No migration mig-1 is known');
          yield migrations.migration;
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        }),
      },
    });
    const io = createTestIo();
    const exit = migrate(io);
    await io.stderr.waitFor(/PREPARING/);
    lost = true;
    peer.die();
    await peer.comeBack();
    expect(await exit).toBe(3);
    expect(io.stderr.text).toMatch(/umemctl: No migration mig-1 is known\n$/);
  });
});
