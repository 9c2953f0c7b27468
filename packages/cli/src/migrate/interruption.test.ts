import { MigrationState, unary } from '@umem/api';
import { PeerUnavailable, WrongState } from '@umem/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { runCli } from '../run-cli.js';
import { createActive, createCompleted } from '../testing/messages.js';
import { ScriptedMigrations } from '../testing/scripted-migrations.js';
import { ScriptedPeer } from '../testing/scripted-peer.js';
import { createTestIo, type TestIo } from '../testing/test-io.js';

let peer: ScriptedPeer;
afterEach(() => peer.stop());

async function start(
  options: { terminal?: boolean; overrides?: object; command?: string[] } = {},
): Promise<{ migrations: ScriptedMigrations; io: TestIo; exit: Promise<number> }> {
  const { terminal = false, overrides = {}, command } = options;
  const migrations = new ScriptedMigrations();
  peer = await ScriptedPeer.start(migrations.service(overrides));
  const io = createTestIo({ terminal });
  const argv = command ?? ['migrate', 'web1', '--source', peer.address, '--destination', '127.0.0.1:7002'];
  const exit = runCli(command ? [...argv, '--agent', peer.address] : argv, io);
  await io.stderr.waitFor(/PREPARING/);
  return { migrations, io, exit };
}

describe('Ctrl-C without a terminal', () => {
  it('cancels before the point of no return and exits 3', async () => {
    const { migrations, io, exit } = await start();
    io.interrupts.emit('SIGINT');
    expect(await exit).toBe(3);
    expect(migrations.cancels).toBe(1);
    expect(io.stderr.text).toContain('umemctl: Migration mig-1 of web1 was cancelled: Cancelled by a client');
  });

  it('only detaches after it, says so and exits 0', async () => {
    const { migrations, io, exit } = await start();
    migrations.set(createActive());
    await io.stderr.waitFor(/POSTCOPY_ACTIVE/);
    io.interrupts.emit('SIGINT');
    expect(await exit).toBe(0);
    expect(migrations.cancels).toBe(0);
    expect(io.stderr.text).toMatch(/Detached\. .*umemctl migration watch mig-1 --agent unix:/);
    expect(io.stdout.text).toContain('POSTCOPY_ACTIVE');
  });

  it('detaches when the point of no return was passed a moment before', async () => {
    const refusal = new WrongState(
      'migration mig-1',
      'POSTCOPY_ACTIVE',
      ['PREPARING'],
      'the guest has moved',
    );
    const { io, exit } = await start({
      overrides: {
        cancelMigration: unary(() => {
          throw refusal;
        }),
      },
    });
    io.interrupts.emit('SIGTERM');
    expect(await exit).toBe(0);
    expect(io.stderr.text).toMatch(/Not cancelled: Migration mig-1 is POSTCOPY_ACTIVE: the guest has moved/);
  });

  it('exits 4 when the agent cannot be told to cancel', async () => {
    const { io, exit } = await start({
      overrides: {
        cancelMigration: unary(() => {
          throw new PeerUnavailable('draining');
        }),
      },
    });
    io.interrupts.emit('SIGINT');
    expect(await exit).toBe(4);
    expect(io.stderr.text).toContain('umemctl: draining');
  });

  it('never cancels what is only watched', async () => {
    const { migrations, io, exit } = await start({ command: ['migration', 'watch', 'web1'] });
    io.interrupts.emit('SIGINT');
    expect(await exit).toBe(0);
    expect(migrations.cancels).toBe(0);
    expect(io.stderr.text).toContain('Detached.');
  });
});

describe('Ctrl-C on a terminal before the point of no return', () => {
  it('asks, and cancels on "c"', async () => {
    const { migrations, io, exit } = await start({ terminal: true });
    io.interrupts.emit('SIGINT');
    await io.stderr.waitFor(/\[c\]ancel the migration, \[d\]etach and let it go on, or \[g\]o on watching\?/);
    io.stdin.write('c\n');
    expect(await exit).toBe(3);
    expect(migrations.cancels).toBe(1);
  });

  it('leaves the migration alone on "d"', async () => {
    const { migrations, io, exit } = await start({ terminal: true });
    io.interrupts.emit('SIGINT');
    await io.stderr.waitFor(/etach/);
    io.stdin.write('detach\n');
    expect(await exit).toBe(0);
    expect(migrations.cancels).toBe(0);
  });

  it('goes on watching on "g", after words it does not know', async () => {
    const { migrations, io, exit } = await start({ terminal: true });
    io.interrupts.emit('SIGINT');
    await io.stderr.waitFor(/etach/);
    io.stdin.write('what?\n');
    await io.stderr.waitFor(/Answer c, d or g/);
    io.stdin.write('g\n');
    migrations.set(createCompleted());
    expect(await exit).toBe(0);
    expect(io.stdout.text).toContain('moved in');
  });

  it('takes a second Ctrl-C as "cancel"', async () => {
    const { migrations, io, exit } = await start({ terminal: true });
    io.interrupts.emit('SIGINT');
    await io.stderr.waitFor(/etach/);
    io.interrupts.emit('SIGINT');
    expect(await exit).toBe(3);
    expect(migrations.cancels).toBe(1);
  });

  it('takes the question back when the guest has moved meanwhile', async () => {
    const { migrations, io, exit } = await start({ terminal: true });
    io.interrupts.emit('SIGINT');
    await io.stderr.waitFor(/etach/);
    migrations.set(createActive());
    await io.stderr.waitFor(/Too late to cancel: the guest runs on the destination now/);
    migrations.set(createCompleted());
    expect(await exit).toBe(0);
  });

  it('goes on when the agent refuses to cancel', async () => {
    const { migrations, io, exit } = await start({ terminal: true });
    io.interrupts.emit('SIGINT');
    await io.stderr.waitFor(/etach/);
    migrations.migration = { ...migrations.migration, state: MigrationState.POSTCOPY_ACTIVE };
    io.stdin.write('c\n');
    await io.stderr.waitFor(/Not cancelled: /);
    migrations.set(createCompleted());
    expect(await exit).toBe(0);
  });
});
