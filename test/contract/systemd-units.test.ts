import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const UNIT_DIR = new URL('../../deploy/systemd/', import.meta.url).pathname;
const SERVICES = ['umem-destination-agent', 'umem-page-server', 'umem-source-agent'];

test('there is one unit for each service, and it starts that service with its sample configuration', async () => {
  expect((await readdir(UNIT_DIR)).sort()).toEqual(SERVICES.map((name) => `${name}.service`));
  for (const name of SERVICES) {
    const unit = await readFile(join(UNIT_DIR, `${name}.service`), 'utf8');
    const config = `/etc/umem/${name.replace('umem-', '')}.yaml`;
    expect(unit.match(/^ExecStart=.*$/gm)).toEqual([`ExecStart=/usr/bin/${name} --config ${config}`]);
  }
});

test('systemd-analyze has nothing to say about the units', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'umem-units-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  // It wants to see the programs: they are wherever they were installed, so here a copy points elsewhere.
  for (const name of SERVICES) {
    await writeFile(join(dir, name), '#!/bin/sh\n', { mode: 0o755 });
    const unit = await readFile(join(UNIT_DIR, `${name}.service`), 'utf8');
    await writeFile(join(dir, `${name}.service`), unit.replaceAll(`/usr/bin/${name}`, join(dir, name)));
  }
  const units = SERVICES.map((name) => join(dir, `${name}.service`));
  const { stdout, stderr } = await promisify(execFile)('systemd-analyze', ['verify', '--man=no', ...units]);
  expect(stdout + stderr).toBe('');
});
