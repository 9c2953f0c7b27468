import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { call, IncomingServiceClient, Placement } from '@umem/api';
import { silentLogger, startDaemon } from '@umem/daemon';
import { destinationAgentDaemon } from '@umem/destination-agent';
import { expect, onTestFinished, test } from 'vitest';

const PROFILE_DIR = new URL('../../deploy/config/profiles/', import.meta.url).pathname;

test('the sample launch profile is one that a destination-agent takes, with options that post-copy survives', async () => {
  const dir = await mkdtemp('/dev/shm/umem-profile-');
  onTestFinished(() => rm(dir, { recursive: true }));
  const settings = {
    listen: '127.0.0.1:0',
    stateDir: join(dir, 's'),
    ramDir: join(dir, 'ram'),
    // Nobody is there: this is about the profile alone.
    pageServer: `unix:${dir}/umemd.sock`,
    vmProfiles: PROFILE_DIR,
  };
  const agent = await startDaemon(destinationAgentDaemon, settings, { log: silentLogger });
  onTestFinished(() => agent.stop());
  const client = new IncomingServiceClient(agent.address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const blocks = [{ blockId: 'pc.ram', sizeBytes: 1n << 20n, hostPageSizeBytes: 4096n }];
  const placement = Placement.COPY;
  const request = { name: 'web1', blocks, profile: 'sample', placement, vhostUserDevices: [] };
  const { checks } = await call(client, client.preflight, request, { peer: 'destination-agent' });
  const about = (name: string) => checks.find(({ check }) => check === name);
  expect(about('profile')).toMatchObject({ passed: true, finding: '"sample" is valid' });
  expect(about('vmm-options')).toMatchObject({ passed: true });
});
