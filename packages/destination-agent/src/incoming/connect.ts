import { fromBlockMessages, UmemState, type ConnectIncomingRequest, type LaneTarget } from '@umem/api';
import { DeadlineExceeded, InvalidArgument } from '@umem/errors';
import type { RamBlock } from '@umem/ram';
import type { VmmControl } from '../launch/vmm-control.js';
import type { IncomingParts } from './incoming-parts.js';

/** Wait for handoff and QMP when a request names none, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** A ConnectIncoming request, checked. */
export interface ConnectRequest {
  readonly target: LaneTarget;
  readonly blocks: readonly RamBlock[];
  readonly timeoutMs: number;
  /** Have the page server say to the source which pages are in place. */
  readonly confirmPlaced: boolean;
}

/** Throws InvalidArgument. */
export function readConnectRequest({
  target,
  blocks,
  timeoutMs,
  confirmPlaced,
}: ConnectIncomingRequest): ConnectRequest {
  if (!target || target.migrationId === '')
    throw new InvalidArgument('ConnectIncoming needs a target with a migration_id; it has none');
  return {
    target,
    blocks: fromBlockMessages(blocks),
    timeoutMs: timeoutMs === 0 ? DEFAULT_TIMEOUT_MS : timeoutMs,
    confirmPlaced,
  };
}

/** Lanes, handoff and QMP on their way. */
export interface Connecting {
  /** Rejects with the first failure, with the reason of `signal`, or with what is missing after the timeout. */
  readonly done: Promise<void>;
  /** Resolves when none of it touches the VMM any more. */
  readonly settled: Promise<unknown>;
}

/** Connects an incoming VM to its source and to its VMM, at the same time. */
export function connectIncoming(
  name: string,
  parts: IncomingParts,
  vmm: VmmControl,
  { target, timeoutMs, confirmPlaced }: ConnectRequest,
  signal: AbortSignal,
): Connecting {
  const halt = new AbortController();
  const timer = setTimeout(() => halt.abort(whatIsMissing(name, parts, timeoutMs)), timeoutMs);
  const until = AbortSignal.any([signal, halt.signal]);
  const steps = [
    // Our own timeout comes first, because it can say what is missing.
    parts.link.connect({ target, confirmPlaced }, timeoutMs + 1_000, until),
    parts.link.handedOff(until).then(() => vmm.attach(timeoutMs, until)),
  ];
  const done = Promise.all(steps).then(
    () => {
      clearTimeout(timer);
      until.throwIfAborted();
    },
    (error: unknown) => {
      clearTimeout(timer);
      // One that fails ends the other. What ended both is the reason, not what each made of it.
      halt.abort(error);
      throw until.reason;
    },
  );
  return { done, settled: Promise.allSettled(steps) };
}

function whatIsMissing(name: string, { ram, run, link }: IncomingParts, timeoutMs: number): DeadlineExceeded {
  if (link.umem.state === UmemState.AWAITING_HANDOFF)
    return new DeadlineExceeded(
      `The VMM of "${name}" has not handed its RAM over after ${timeoutMs} ms: start it with the prepared environment and map ${ram.files.map(({ path }) => path).join(', ')} with share=on`,
    );
  if (!link.umem.lanesConnected)
    return new DeadlineExceeded(
      `Lanes to the source of "${name}" are not connected after ${timeoutMs} ms: check the network`,
    );
  return new DeadlineExceeded(
    `The VMM of "${name}" does not answer at ${run.qmpPath} after ${timeoutMs} ms: start it with a QMP server there and -incoming defer`,
  );
}
