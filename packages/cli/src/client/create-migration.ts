import { call, type CreateMigrationRequest, type Migration, type MigrationServiceClient } from '@umem/api';
import { DeadlineExceeded, PeerUnavailable } from '@umem/errors';
import { Backoff } from './backoff.js';
import type { Peer } from './connect.js';

const ATTEMPTS = 3;

/**
 * Creates a migration. The request carries a request_id, so when an answer is lost the call is
 * simply made again: at most three times.
 */
export async function createMigration(
  peer: Peer<MigrationServiceClient>,
  request: CreateMigrationRequest,
): Promise<Migration> {
  const backoff = new Backoff(100, 400);
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(peer.client, peer.client.createMigration, request, { peer: peer.name });
    } catch (error) {
      const passing = error instanceof PeerUnavailable || error instanceof DeadlineExceeded;
      if (!passing || attempt === ATTEMPTS) throw error;
      await backoff.wait(AbortSignal.timeout(1_000));
    }
  }
}
