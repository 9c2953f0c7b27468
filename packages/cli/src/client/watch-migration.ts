import { fromServiceError, MigrationState, type Migration, type MigrationServiceClient } from '@umem/api';
import { Cancelled, Internal, messageOf, Overloaded, PeerUnavailable, DeadlineExceeded } from '@umem/errors';
import { Backoff } from './backoff.js';
import type { Peer } from './connect.js';

export type WatchEvent =
  | { readonly kind: 'update'; readonly migration: Migration }
  /** The stream broke; it is being opened again. Said once per loss. */
  | { readonly kind: 'lost'; readonly reason: string }
  | { readonly kind: 'back' };

export interface WatchSettings {
  readonly migrationId: string;
  /** Milliseconds between updates. */
  readonly intervalMs: number;
  /** Milliseconds without contact after which watching fails with PeerUnavailable. */
  readonly giveUpAfterMs: number;
  readonly signal: AbortSignal;
}

export function isFinished(state: MigrationState): boolean {
  return state === MigrationState.COMPLETED || state === MigrationState.FAILED;
}

/**
 * Follows a migration until it is COMPLETED or FAILED, through losses of the connection and restarts
 * of the agent: neither matters to the migration. Ends early, without an error, when aborted.
 */
export async function* watchMigration(
  { client, name }: Peer<MigrationServiceClient>,
  { migrationId, intervalMs, giveUpAfterMs, signal }: WatchSettings,
): AsyncGenerator<WatchEvent, void> {
  const backoff = new Backoff(100, 2_000);
  let lostAtMs: number | null = null;
  while (!signal.aborted) {
    let reason = 'the stream ended early';
    const stream = client.watchMigration({ migration: migrationId, intervalMs });
    const cancel = (): void => stream.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of stream) {
        const migration = message as Migration;
        if (lostAtMs !== null) yield { kind: 'back' };
        lostAtMs = null;
        backoff.reset();
        yield { kind: 'update', migration };
        if (isFinished(migration.state)) return;
      }
    } catch (thrown) {
      if (signal.aborted) return;
      const error = fromServiceError(thrown, name);
      if (!isPassing(error)) throw error;
      reason = messageOf(error);
    } finally {
      signal.removeEventListener('abort', cancel);
      stream.cancel();
    }
    if (lostAtMs === null) {
      lostAtMs = performance.now();
      yield { kind: 'lost', reason };
    }
    const leftMs = lostAtMs + giveUpAfterMs - performance.now();
    if (leftMs <= 0)
      throw new PeerUnavailable(
        `No contact with ${name} for ${Math.round(giveUpAfterMs / 1000)} s: ${reason}. The migration does not ` +
          `need umemctl; look at it later with: umemctl migration get ${migrationId}`,
      );
    await backoff.wait(signal, leftMs);
  }
}

/** Errors of a stream that say nothing about the migration. */
function isPassing(error: unknown): boolean {
  return [PeerUnavailable, DeadlineExceeded, Overloaded, Cancelled, Internal].some(
    (Class) => error instanceof Class,
  );
}
