import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { commonOptions, readConfig, type Options } from '@umem/daemon';
import { destinationAgentDaemon } from '@umem/destination-agent';
import { pageServerDaemon } from '@umem/page-server';
import { sourceAgentDaemon } from '@umem/source-agent';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';

const CONFIG_DIR = new URL('../../deploy/config/', import.meta.url).pathname;

/** A setting that is shown and not set: `#key: value`, and whether the value is only an example. */
const SHOWN = /^#([a-z][A-Za-z0-9]*): (.*?)( {2}# example)?$/gm;

// Read apart, so that each daemon keeps the types of its own options.
const SERVICES = [
  {
    file: 'source-agent.yaml',
    options: sourceAgentDaemon.options,
    read: (argv: string[]) => readConfig(sourceAgentDaemon, { argv, env: {} }),
  },
  {
    file: 'destination-agent.yaml',
    options: destinationAgentDaemon.options,
    read: (argv: string[]) => readConfig(destinationAgentDaemon, { argv, env: {} }),
  },
  {
    file: 'page-server.yaml',
    options: pageServerDaemon.options,
    read: (argv: string[]) => readConfig(pageServerDaemon, { argv, env: {} }),
  },
];

function allOptions(own: Options): Options {
  const { config: _, ...settable } = { ...commonOptions, ...own };
  return settable;
}

test('there is one sample for each service', async () => {
  const files = (await readdir(CONFIG_DIR)).filter((name) => name.endsWith('.yaml'));
  expect(files.sort()).toEqual(SERVICES.map(({ file }) => file).sort());
});

describe.each(SERVICES)('$file', ({ file, options: own, read }) => {
  const options = allOptions(own);
  const sample = (): Promise<string> => readFile(join(CONFIG_DIR, file), 'utf8');

  test('is taken by the service as it is', () => {
    expect(read(['--config', join(CONFIG_DIR, file)])).toHaveProperty('config');
  });

  test('is taken with every line that it only shows', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'umem-sample-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    const path = join(dir, file);
    await writeFile(path, (await sample()).replace(SHOWN, '$1: $2'));
    expect(read(['--config', path])).toHaveProperty('config');
  });

  test('names every setting once', async () => {
    const text = await sample();
    const set = Object.keys(parse(text) as object);
    const shown = [...text.matchAll(SHOWN)].map(([, key]) => key);
    expect([...set, ...shown].sort()).toEqual(Object.keys(options).sort());
  });

  test('shows the defaults as they are', async () => {
    for (const [, key = '', value, example] of (await sample()).matchAll(SHOWN)) {
      const option = options[key];
      if (example === undefined)
        expect(option?.schema.parse(parse(value ?? '')), key).toEqual(option?.schema.parse(option.default));
    }
  });
});
