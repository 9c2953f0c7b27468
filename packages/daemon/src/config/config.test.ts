import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exampleDaemon } from '../testing/example-service.js';
import { temporaryDir } from '../testing/temporary-dir.js';
import { readConfig, readSettings, type Surroundings } from './config.js';
import { ConfigError } from './config-error.js';

const STATE_DIR = ['--state-dir', '/var/lib/umem/example'];

function config({ argv = [], env = {} }: Partial<Surroundings>) {
  const read = readConfig(exampleDaemon, { argv: [...STATE_DIR, ...argv], env });
  if ('answer' in read) throw new Error('Not a configuration');
  return read.config;
}

function problems(surroundings: Partial<Surroundings>): readonly string[] {
  try {
    config(surroundings);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

async function configFile(text: string): Promise<string> {
  const path = join(await temporaryDir(), 'config.yaml');
  await writeFile(path, text);
  return path;
}

test('without settings every option has its default', () => {
  expect(config({})).toMatchObject({
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    stateDir: '/var/lib/umem/example',
    insecure: true,
    insecureNetwork: false,
    metricsListen: undefined,
    logLevel: 'info',
    shutdownGrace: 10_000,
    maxBandwidth: undefined,
    vms: ['vm1', 'vm2'],
  });
});

test('a flag wins over the environment, that over the file, that over the default', async () => {
  const path = await configFile('maxBandwidth: 3\n');
  const empty = await configFile('# nothing\n');
  fc.assert(
    fc.property(fc.boolean(), fc.boolean(), fc.boolean(), (flag, variable, file) => {
      const { maxBandwidth } = config({
        argv: ['--config', file ? path : empty, ...(flag ? ['--max-bandwidth', '1'] : [])],
        env: variable ? { UMEM_MAX_BANDWIDTH: '2' } : {},
      });
      expect(maxBandwidth).toBe(flag ? 1 : variable ? 2 : file ? 3 : undefined);
    }),
  );
});

test('the configuration file itself can come from the environment', async () => {
  const path = await configFile('vms: [a, b]\nmetricsListen: "127.0.0.1:9100"\n');
  expect(config({ env: { UMEM_CONFIG: path } })).toMatchObject({
    vms: ['a', 'b'],
    metricsListen: { port: 9100 },
  });
});

test('an empty variable and a key without a value count as not set', async () => {
  const path = await configFile('maxBandwidth:\n');
  expect(
    config({ argv: ['--config', path], env: { UMEM_MAX_BANDWIDTH: '', UMEM_LOG_LEVEL: '' } }),
  ).toMatchObject({
    maxBandwidth: undefined,
    logLevel: 'info',
  });
});

test('a switch can be turned on by its flag and off against the environment and the file', async () => {
  const path = await configFile('insecureNetwork: true\n');
  const file = ['--config', path];
  expect(config({ argv: ['--insecure-network'] }).insecureNetwork).toBe(true);
  expect(config({ argv: file }).insecureNetwork).toBe(true);
  expect(config({ argv: [...file, '--no-insecure-network'] }).insecureNetwork).toBe(false);
  expect(config({ argv: file, env: { UMEM_INSECURE_NETWORK: 'false' } }).insecureNetwork).toBe(false);
});

describe('what is wrong is said with its place', () => {
  test('a flag', () => {
    expect(problems({ argv: ['--max-bandwidth', 'fast'] })).toEqual([
      '--max-bandwidth "fast" is refused: "fast" is not a size: write for example 4096, 64MiB or 1.5GiB',
    ]);
  });
  test('a variable', () => {
    expect(problems({ env: { UMEM_LISTEN: '7001' } })[0]).toMatch(
      /^UMEM_LISTEN="7001" is refused: Address "7001" must be host:port/,
    );
  });
  test('a line of the file', async () => {
    const path = await configFile('# comment\nvms:\n  - ok\n  - not/ok\n');
    expect(problems({ argv: ['--config', path] })).toEqual([
      expect.stringMatching(/config\.yaml:2: vms \["ok","not\/ok"\] is refused: 1: "not\/ok" is not a name/),
    ]);
  });
  test('all problems at once', () => {
    expect(
      problems({ argv: ['--log-level', 'loud', '--vms', '/'], env: { UMEM_SHUTDOWN_GRACE: '10' } }),
    ).toHaveLength(3);
  });
  test('a required setting that nobody gave, with all ways to give it', () => {
    expect(() => readConfig(exampleDaemon, { argv: [], env: {} })).toThrow(
      /^--state-dir is required \(or UMEM_STATE_DIR, or stateDir in the configuration file\): /,
    );
  });
  test('an unknown flag, with a suggestion', () => {
    expect(problems({ argv: ['--max-bandwith', '1'] })[0]).toBe(
      "unknown option '--max-bandwith' (Did you mean --max-bandwidth?). See umem-example --help",
    );
  });
  test('an argument that is not a flag', () => {
    expect(problems({ argv: ['surplus'] })[0]).toContain('too many arguments');
  });
  test('a flag without its value', () => {
    expect(problems({ argv: ['--max-bandwidth'] })[0]).toContain('argument missing');
  });
});

describe('a configuration file is refused', () => {
  test.each([
    [
      'an unknown key',
      'listen: 127.0.0.1:1\nbandwidth: 1\n',
      /:2: unknown setting "bandwidth"; there are listen, /,
    ],
    [
      'a flag instead of its key',
      'state-dir: /x\n',
      /:1: unknown setting "state-dir"; it is called "stateDir"/,
    ],
    ['a key of every object', 'constructor: 1\n', /:1: unknown setting "constructor"/],
    ['a prototype', '__proto__: {logLevel: silent}\n', /unknown setting "__proto__"/],
    ['a key that is there twice', 'logLevel: info\nlogLevel: warn\n', /:2 is not YAML: .*unique/],
    ['another file', 'config: /etc/other.yaml\n', /"config" cannot be set in a configuration file/],
    ['a list', '- listen\n', /must be a YAML map/],
    ['text', 'just words\n', /must be a YAML map/],
    ['broken YAML', 'listen: [\n', /is not YAML/],
  ])('with %s', async (_, text, expected) => {
    expect(problems({ argv: ['--config', await configFile(text)] })[0]).toMatch(expected);
  });
  test('when it is not there', () => {
    expect(problems({ argv: ['--config', '/nonexistent/umem.yaml'] })[0]).toMatch(
      /^Cannot read the configuration file: ENOENT/,
    );
  });
});

test('a secret is never quoted', async () => {
  const path = await configFile('adminToken: hunter2\n');
  const told = [
    ...problems({ argv: ['--admin-token', 'hunter2'] }),
    ...problems({ env: { UMEM_ADMIN_TOKEN: 'hunter2' } }),
    ...problems({ argv: ['--config', path] }),
  ];
  expect(told).toHaveLength(3);
  expect(told.join()).not.toContain('hunter2');
});

test('help shows every option with its variable and its default', () => {
  const read = readConfig(exampleDaemon, { argv: ['--help'], env: {} });
  const help = 'answer' in read ? read.answer.replace(/\s+/g, ' ') : '';
  expect(help).toContain('Usage: umem-example [options] Shows what every daemon does.');
  expect(help).toContain('--max-bandwidth <bytes/s> Limit of background lanes (env UMEM_MAX_BANDWIDTH)');
  expect(help).toContain('(required, env UMEM_STATE_DIR)');
  expect(help).toContain('(default 10s, env UMEM_SHUTDOWN_GRACE)');
  expect(help).toContain('(default 127.0.0.1:0, env UMEM_LISTEN)');
  expect(help).not.toContain('--no-insecure');
});

test('--version shows name and version', () => {
  expect(readConfig(exampleDaemon, { argv: ['--version'], env: {} })).toEqual({
    answer: expect.stringMatching(/^umem-example \d+\.\d+\.\d+\n$/),
  });
});

test('settings from a program are read like a file, and unknown ones are refused', () => {
  expect(readSettings(exampleDaemon, { stateDir: '/x', maxBandwidth: '1MiB', vms: undefined })).toMatchObject(
    {
      maxBandwidth: 1 << 20,
      vms: ['vm1', 'vm2'],
    },
  );
  expect(() => readSettings(exampleDaemon, { stateDir: '/x', ...{ speed: 1 } })).toThrow(
    'umem-example has no setting "speed"',
  );
});
