import type { PageRange } from '@umem/ram';
import type { LaneOffer } from '../init-check.js';
import type { PeerShare, Phase, SessionShare } from '../serve-session.js';
import type { WireError } from './wire-error.js';

/** A session with everything that has happened to it, so that a thread can join late. */
export interface SessionSnapshot {
  readonly share: SessionShare;
  readonly peers: readonly PeerShare[];
  readonly phase: Phase;
}

/** Main thread to worker. */
export type ToWorker =
  | { readonly type: 'open'; readonly session: SessionSnapshot }
  | { readonly type: 'addPeer'; readonly migrationId: string; readonly peer: PeerShare }
  | { readonly type: 'enter'; readonly migrationId: string; readonly phase: Phase }
  /** Something may be possible now for one page server's lanes. */
  | { readonly type: 'pump'; readonly migrationId: string; readonly peer: number }
  /** The session's bucket has another rate. */
  | { readonly type: 'rateChanged'; readonly migrationId: string }
  | {
      readonly type: 'punch';
      readonly migrationId: string;
      readonly block: number;
      readonly ranges: readonly PageRange[];
    }
  | { readonly type: 'endLane'; readonly lane: number; readonly error: WireError | null }
  | { readonly type: 'close'; readonly migrationId: string }
  /** Lanes come over a connected socket, which the thread owns; it had the number `inherited`. */
  | { readonly type: 'serve'; readonly fd: number; readonly inherited: number }
  /** Let go of everything and end. */
  | { readonly type: 'stop' };

/** Worker to main thread. */
export type FromWorker =
  | { readonly type: 'listening'; readonly port: number }
  | {
      readonly type: 'admit';
      /** Chosen by the worker. */
      readonly lane: number;
      readonly migrationId: string;
      readonly peer: number;
      readonly offer: LaneOffer;
    }
  | { readonly type: 'release'; readonly lane: number; readonly error: WireError | null }
  | { readonly type: 'allSent'; readonly migrationId: string; readonly peer: number }
  | { readonly type: 'eoc'; readonly migrationId: string; readonly peer: number }
  /** A socket of `serve` is closed. */
  | { readonly type: 'connectionEnded'; readonly inherited: number }
  | {
      readonly type: 'placed';
      readonly migrationId: string;
      readonly peer: number;
      readonly block: number;
      readonly ranges: readonly PageRange[];
    };

/** What a worker is started with. */
export interface WorkerStart {
  /** In the form that grpc-js takes; port 0 takes a free one. */
  readonly address: string;
}
