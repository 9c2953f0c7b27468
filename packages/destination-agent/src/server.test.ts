import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { startDaemon } from '@umem/daemon';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { destinationAgentDaemon } from './server.js';

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

describe('umem-destination-agent', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp('/dev/shm/umem-da-');
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const start = (settings: Record<string, unknown>) =>
    startDaemon(destinationAgentDaemon, {
      listen: '127.0.0.1:0',
      stateDir: join(dir, 'state'),
      ramDir: join(dir, 'ram'),
      metricsListen: '127.0.0.1:0',
      logLevel: 'silent',
      ...settings,
    });

  it('starts without a page server and serves its metrics', async () => {
    const agent = await start({ pageServer: `unix:${dir}/none.sock` });
    try {
      const text = await (await fetch(`http://${agent.metricsAddress}/metrics`)).text();
      expect(text).toContain('umem_incoming_vms{state="PREPARED"} 0');
      expect(text).toContain('umem_incoming_ram_bytes 0');
      expect(text).toContain('umem_device_state_load_seconds_count 0');
    } finally {
      await agent.stop();
    }
  });

  it.each([
    ['a page server on another host', { pageServer: '10.0.0.1:7003' }, /on this host/],
    ['a RAM directory that UMEM_RAM cannot hold', { ramDir: '/dev/shm/a:b=*' }, /letters, digits/],
    ['a RAM directory that is no tmpfs', { ramDir: '/tmp/umem-no-tmpfs-here' }, /tmpfs/],
    ['a user that does not exist', { vmmUser: 'no-such-user' }, /no-such-user/],
    ['no room for any VM', { maxIncoming: 0 }, /from 1 to 1000/],
  ])('does not start with %s', async (_, settings, message) => {
    await expect(start(settings)).rejects.toThrow(message);
    await rm('/tmp/umem-no-tmpfs-here', { recursive: true, force: true });
  });

  it('explains its options', async () => {
    const { stdout } = await run(process.execPath, [MAIN, '--help']);
    for (const flag of [
      '--page-server',
      '--ram-dir',
      '--vm-profiles',
      '--vmm-user',
      '--max-incoming',
      '--max-ram',
      '--incoming-timeout',
    ])
      expect(stdout).toContain(flag);
  });
});
