import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PeerUnavailable } from '@umem/errors';
import { expect, it } from 'vitest';
import { PageServerProcess } from '../testing/page-server-process.js';
import { PageServer } from './page-server.js';

it('a page server that starts after the agent is found', async () => {
  const dir = await mkdtemp('/dev/shm/umem-da-');
  const server = new PageServer({ kind: 'unix', path: join(dir, 'ps/u.sock') });
  try {
    await expect(server.list(2_000)).rejects.toThrow(PeerUnavailable);
    const process = await PageServerProcess.start(dir);
    await expect.poll(() => server.list(2_000).catch(() => 'away'), { timeout: 10_000 }).toEqual([]);
    await process.stop();
  } finally {
    server.close();
    await rm(dir, { recursive: true });
  }
});
