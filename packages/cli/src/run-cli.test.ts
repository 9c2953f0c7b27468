import { describe, expect, it } from 'vitest';
import { runCli } from './run-cli.js';
import { createTestIo } from './testing/test-io.js';

async function run(argv: string[], env: Record<string, string> = {}) {
  const io = createTestIo({ env });
  const code = await runCli(argv, io);
  return { code, out: io.stdout.text, err: io.stderr.text };
}

describe('umemctl', () => {
  it('prints help with examples and exits 0', async () => {
    const { code, out, err } = await run(['--help']);
    expect(code).toBe(0);
    expect(err).toBe('');
    for (const noun of ['migrate', 'migration', 'vm', 'incoming', 'umem', 'doctor'])
      expect(out).toContain(noun);
    expect(out).toContain('umemctl migrate web1 --source 10.0.0.1:7001 --destination 10.0.0.2:7002');
  });

  it('shows examples and the environment variable of each flag in a command’s help', async () => {
    const { out } = await run(['migrate', '--help']);
    expect(out).toContain('Examples:');
    for (const name of ['UMEM_SOURCE]', 'UMEM_DESTINATION]', 'UMEM_NO_BACKGROUND]', 'UMEM_MAX_BANDWIDTH]'])
      expect(out.replace(/\s+/g, ' ')).toContain(name);
  });

  it('prints its version', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, out: '0.1.0\n', err: '' });
  });

  it.each([
    [[], /Usage: umemctl/],
    [['migrat'], /^umemctl: Unknown command 'migrat' \(Did you mean migrate\?\)\n$/],
    [['vm'], /Usage: umemctl vm/],
    [['vm', 'list'], /^umemctl: Required option '--agent <address>' not specified\n$/],
    [['vm', 'list', '--agent', 'nowhere'], /Address "nowhere" must be host:port or unix:\/absolute\/path/],
    [
      ['vm', 'list', '--agent', 'a:1', '--jsn'],
      /^umemctl: Unknown option '--jsn' \(Did you mean --json\?\)\n$/,
    ],
    [['vm', 'list', 'extra', '--agent', 'a:1'], /Too many arguments/],
    [['vm', 'get', '--agent', 'a:1'], /Missing required argument 'name'/],
    [['migrate', 'a b', '--source', 'a:1', '--destination', 'b:1'], /A name is 1 to 63 letters/],
    [
      migrateWith('--max-bandwidth', 'fast'),
      /"fast" is not a size: write for example 4096, 64MiB or 1\.5GiB/,
    ],
    [migrateWith('--timeout', '0'), /Write seconds/],
    [migrateWith('--source-after', 'explode'), /Allowed choices are keep, quit/],
    [migrateWith('--postcopy-flags', '-1'), /from 0 to 0xffffffff/],
    [migrateWith('--placement', 'move'), /--placement/],
    [['migration', 'set', 'web1', '--agent', '127.0.0.1:1'], /--max-bandwidth/],
  ])('refuses %j with exit code 2 and one sentence', async (argv, message) => {
    const { code, out, err } = await run(argv);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(message);
  });

  it('refuses a bad value in the environment and names the variable', async () => {
    const { code, err } = await run(['vm', 'list'], { UMEM_AGENT: 'nowhere' });
    expect(code).toBe(2);
    expect(err).toMatch(/^umemctl: Environment variable UMEM_AGENT: Address "nowhere"/);
  });

  it('looks only at the variables of the command that runs', async () => {
    const { code } = await run(['doctor', '--json'], { UMEM_MAX_BANDWIDTH: 'fast', UMEM_AGENT: '' });
    expect(code).not.toBe(2);
  });
});

function migrateWith(...flags: string[]): string[] {
  return ['migrate', 'web1', '--source', 'a:1', '--destination', 'b:1', ...flags];
}
