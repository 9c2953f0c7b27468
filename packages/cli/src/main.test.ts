import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MigrationState } from '@umem/api';
import { afterEach, describe, expect, it } from 'vitest';
import { createActive, createCompleted } from './testing/messages.js';
import { ScriptedMigrations } from './testing/scripted-migrations.js';
import { ScriptedPeer } from './testing/scripted-peer.js';
import { Capture } from './testing/test-io.js';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

let peer: ScriptedPeer;
let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill('SIGKILL');
  peer.stop();
});

interface Running {
  readonly migrations: ScriptedMigrations;
  readonly output: Capture;
  readonly exit: Promise<number | null>;
  readonly process: ChildProcess;
}

/** Runs the real program; `script` gives it a pseudo-terminal. */
async function start(options: { terminal: boolean }): Promise<Running> {
  const migrations = new ScriptedMigrations();
  peer = await ScriptedPeer.start(migrations.service());
  const argv = [process.execPath, MAIN, 'migrate', 'web1', '--source', peer.address, '--destination', 'b:1'];
  const [command = '', ...args] = options.terminal
    ? ['script', '-qefc', `stty cols 130; exec ${argv.join(' ')}`, '/dev/null']
    : argv;
  const started = spawn(command, args, { env: { ...process.env, TERM: 'xterm', LANG: 'C.UTF-8' } });
  child = started;
  const output = new Capture();
  started.stdout.on('data', (chunk: Buffer) => output.write(chunk.toString()));
  started.stderr.on('data', (chunk: Buffer) => output.write(chunk.toString()));
  const exit = new Promise<number | null>((resolve) => started.on('close', resolve));
  await migrations.until(() => migrations.watchers > 0);
  return { migrations, output, exit, process: started };
}

describe('umemctl on a terminal', () => {
  it('draws a bar with state, pages, rate, rest, estimate and faults, and gives the cursor back', async () => {
    const { migrations, output, exit } = await start({ terminal: true });
    await output.waitFor(/web1 {2}PREPARING/);
    migrations.set(createActive());
    await output.waitFor(
      /POSTCOPY_ACTIVE {2}█{12}░{12} {2}50 % {2}65,536\/131,072 pages .*256 MiB left {2}ETA 700 ms {2}240 faults/,
    );
    migrations.set(createCompleted());
    expect(await exit).toBe(0);
    expect(output.text).toMatch(/paused for .*41\.2 ms/);
    expect(output.text.lastIndexOf('\u001b[?25h')).toBeGreaterThan(output.text.lastIndexOf('\u001b[?25l'));
  });

  it('asks on Ctrl-C before the point of no return and cancels on "c"', async () => {
    const { migrations, output, exit, process: program } = await start({ terminal: true });
    await output.waitFor(/PREPARING/);
    program.stdin?.write('\u0003');
    await output.waitFor(/\[c\]ancel the migration/);
    program.stdin?.write('c\n');
    expect(await exit).toBe(3);
    expect(migrations.cancels).toBe(1);
    expect(output.text).toContain('was cancelled');
  });

  it('only detaches on Ctrl-C after it', async () => {
    const { migrations, output, exit, process: program } = await start({ terminal: true });
    migrations.set(createActive());
    await output.waitFor(/POSTCOPY_ACTIVE/);
    program.stdin?.write('\u0003');
    expect(await exit).toBe(0);
    expect(output.text).toContain('Detached.');
    expect(migrations.cancels).toBe(0);
  });
});

describe('umemctl as a process without a terminal', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('cancels on %s before the point of no return', async (signal) => {
    const { migrations, exit, process: program } = await start({ terminal: false });
    program.kill(signal);
    expect(await exit).toBe(3);
    expect(migrations.migration.state).toBe(MigrationState.FAILED);
  });

  it('ends quietly when the reader of its output has gone', async () => {
    const migrations = new ScriptedMigrations();
    peer = await ScriptedPeer.start(migrations.service());
    const argv = [MAIN, 'migration', 'watch', 'web1', '--quiet', '--json', '--agent', peer.address];
    const started = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    const errors = new Capture();
    started.stderr.on('data', (chunk: Buffer) => errors.write(chunk.toString()));
    const exit = new Promise<number | null>((resolve) => started.on('close', resolve));
    await new Promise((resolve) => started.stdout.once('data', resolve));
    started.stdout.destroy();
    migrations.set(createActive());
    migrations.set(createActive({ totalUs: 1n }));
    expect(await exit).toBe(0);
    expect(errors.text).toBe('');
  });
});
