import { Metadata } from '@grpc/grpc-js';
import { TOKEN_KEY, type LaneServer, type Malformed, type UmemRequest } from '@umem/api';
import { DeadlineExceeded, InvalidArgument, Unauthenticated } from '@umem/errors';
import { checkInit, toInit } from './init-check.js';
import { Lane } from './lane.js';
import type { LaneGate } from './lane-gate.js';
import { fail, type LaneCall } from './lane-writer.js';
import type { ServeSessions } from './serve-session.js';

/** A call that says nothing for this long is not a lane. */
const INIT_TIMEOUT_MS = 10_000;

/**
 * `PageSource.Serve` on one thread: a call becomes a lane when its token and INIT are good and the
 * gate lets it in; the response headers tell the peer so.
 */
export function createPageSource(sessions: ServeSessions, gate: LaneGate): LaneServer {
  return {
    serve: (call) => {
      open(call, sessions, gate).catch((error: unknown) => fail(call, error));
    },
  };
}

async function open(call: LaneCall, sessions: ServeSessions, gate: LaneGate): Promise<void> {
  const token = readToken(call);
  const init = toInit(await firstMessage(call));
  const session = sessions.get(init.migrationId);
  const peer = session.authenticate(token);
  const offer = checkInit(init, session.blocks);

  let lane: Lane | null = null;
  let revoked: { error: unknown } | null = null;
  const pass = await gate.admit(init.migrationId, peer.index, offer, (error) => {
    if (lane) lane.end(error);
    else revoked = { error };
    return Promise.resolve();
  });
  // While the gate was asked, the peer may have gone or the lane may have become stale.
  if (call.cancelled) return pass.release(null);
  if (revoked) {
    const { error } = revoked as { error: unknown };
    pass.release(error);
    return error === null ? void call.end() : fail(call, error);
  }
  call.sendMetadata(new Metadata());
  const { kind, hostPages } = offer;
  lane = new Lane({ call, kind, hostPages, session, peer, onEnd: (error) => pass.release(error) });
}

function readToken(call: LaneCall): string {
  const [token] = call.metadata.get(TOKEN_KEY);
  if (typeof token === 'string' && token !== '') return token;
  throw new Unauthenticated(`The call has no ${TOKEN_KEY} metadata: send the migration's token`);
}

/** The first message; the call is paused when it resolves. */
function firstMessage(call: LaneCall): Promise<UmemRequest | Malformed> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      call.off('data', onData).off('end', onEnd).off('cancelled', onEnd);
    };
    const onData = (message: UmemRequest | Malformed): void => {
      call.pause();
      done();
      resolve(message);
    };
    const onEnd = (): void => {
      done();
      reject(new InvalidArgument('The lane ended before INIT'));
    };
    const onTimeout = (): void => {
      done();
      reject(new DeadlineExceeded(`No INIT came within ${INIT_TIMEOUT_MS / 1000} s`));
    };
    const timer = setTimeout(onTimeout, INIT_TIMEOUT_MS);
    call.on('data', onData).on('end', onEnd).on('cancelled', onEnd);
  });
}
