import { credentials, type ServiceError } from '@grpc/grpc-js';
import { UmemdClient, type Umem } from '@umem/api';
import type { ProcessMove } from '../kit/process-move.js';

/** As often as a page server tells its statistics, in milliseconds. */
const INTERVAL_MS = 50;

/** What a page server said of a set, and when it was heard. */
export interface UmemMoment {
  readonly atMs: number;
  readonly backgroundPages: number;
  readonly pendingRequests: number;
}

/** Everything that the destination's page server says of an incoming guest. */
export class UmemWatch {
  readonly moments: UmemMoment[] = [];
  readonly #client: UmemdClient;

  /** The set must be there already. Ends by itself with the lab. */
  constructor({ lab, destination, vm }: ProcessMove) {
    this.#client = new UmemdClient(destination.pageServer.address, credentials.createInsecure());
    const stream = this.#client.watchUmem({ name: vm, intervalMs: INTERVAL_MS });
    stream.on('data', ({ stats }: Umem) => {
      this.moments.push({
        atMs: performance.now(),
        backgroundPages: Number(stats?.backgroundPages ?? 0),
        pendingRequests: Number(stats?.pendingRequests ?? 0),
      });
    });
    // The stream ends with the set or with the page server; who needs more moments misses them.
    stream.on('error', ({ details }: ServiceError) => (this.end = details));
    lab.cleanup.defer('stop watching the page server', () => {
      stream.cancel();
      this.#client.close();
    });
  }

  /** Why it ended, when that was no good end. */
  end: string | null = null;

  /** Requests that waited at once, at most. */
  get mostPending(): number {
    return Math.max(0, ...this.moments.map(({ pendingRequests }) => pendingRequests));
  }
}
