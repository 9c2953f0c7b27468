import type { PageRange } from '@umem/ram';
import type { PendingPlacement } from '../place/pending.js';
import type { SharedMemory } from '../place/umem-memory.js';
import type { DuplicatedTarget } from '../session/guest-memory.js';
import type { LaneLoss } from './lane-loss.js';
import type { LaneSettings } from './lane.js';

/** What a background worker is given when it starts. */
export interface BackgroundWorkerData {
  readonly memory: SharedMemory;
}

/** Main event loop to worker. `lane` numbers the lanes of one worker: answers about older ones are stale. */
export type ToWorker =
  /** Opens a lane and sends INIT. */
  | {
      readonly kind: 'open';
      readonly lane: number;
      readonly settings: LaneSettings;
      readonly confirmPlaced: boolean;
    }
  /** Where the memory is; the descriptors are duplicates that the worker owns. Sent again when it changes. */
  | { readonly kind: 'memory'; readonly target: DuplicatedTarget }
  /** Lets pages flow on the lane. After `memory`. */
  | { readonly kind: 'read'; readonly lane: number }
  /** Leaves pages unread, where gRPC holds the source back, or reads them again. */
  | { readonly kind: 'pause'; readonly lane: number; readonly paused: boolean }
  /** Asks for pages at background priority. */
  | {
      readonly kind: 'request';
      readonly lane: number;
      readonly blockId: string;
      readonly pgoffs: readonly number[];
    }
  | { readonly kind: 'cancel'; readonly lane: number }
  /** EOC, then waits for the source; answered with `finished`. */
  | { readonly kind: 'finish'; readonly lane: number; readonly timeoutMs: number }
  /** Closes descriptors and ends the thread. */
  | { readonly kind: 'exit' };

/** Worker to main event loop. */
export type FromWorker =
  | { readonly kind: 'accepted'; readonly lane: number }
  | { readonly kind: 'lost'; readonly lane: number; readonly loss: LaneLoss }
  | { readonly kind: 'eos'; readonly lane: number }
  | { readonly kind: 'finished'; readonly lane: number; readonly problem: string | null }
  /** The stream has taken what was asked for and takes more. */
  | { readonly kind: 'requestSent'; readonly lane: number }
  | { readonly kind: 'answered'; readonly blockId: string; readonly range: PageRange; readonly atUs: number }
  | { readonly kind: 'retry'; readonly pending: PendingPlacement }
  /** Cannot be placed from here; the main event loop knows whether anybody misses it. */
  | { readonly kind: 'gone'; readonly pending: PendingPlacement }
  | { readonly kind: 'dropped' }
  | { readonly kind: 'complete' }
  | { readonly kind: 'broken'; readonly message: string };
