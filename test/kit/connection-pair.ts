import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Lab } from './lab.js';

/** Two ends of a connection for two processes to inherit; what is not handed on is closed with the lab. */
export async function connectionPair(lab: Lab): Promise<readonly [Socket, Socket]> {
  const path = join(lab.dir, `pair-${randomUUID().slice(0, 8)}`);
  // Nothing is read here: what one process says is for the other.
  const listener = createServer({ pauseOnConnect: true }).listen(path);
  await once(listener, 'listening');
  const accepted = once(listener, 'connection');
  const near = connect(path);
  const [[far]] = await Promise.all([accepted as Promise<[Socket]>, once(near, 'connect')]);
  listener.close();
  await rm(path, { force: true });
  lab.cleanup.defer('close a connection', () => [near, far].forEach((end) => end.destroy()));
  return [near, far];
}

/** A connection with a process in its middle, as ssh or socat are, that can be cut. */
export async function relayedConnection(
  lab: Lab,
): Promise<{ readonly ends: readonly [Socket, Socket]; cut(): void }> {
  const [[left, leftInner], [right, rightInner]] = await Promise.all([
    connectionPair(lab),
    connectionPair(lab),
  ]);
  leftInner.pipe(rightInner).pipe(leftInner);
  const cut = (): void => [leftInner, rightInner].forEach((inner) => inner.destroy());
  // One side that ends ends the other: a relay has nothing to add.
  for (const inner of [leftInner, rightInner]) inner.on('error', cut).on('close', cut);
  return { ends: [left, right], cut };
}
