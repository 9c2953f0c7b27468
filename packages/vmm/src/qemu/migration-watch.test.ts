import { afterEach, describe, expect, it } from 'vitest';
import { Cancelled, HostPrecondition } from '@umem/errors';
import { listenAs, serveQmp, type Request } from '../testing/qmp-peer.js';
import { Scratch } from '../testing/scratch.js';
import { MigrationWatch } from './migration-watch.js';
import { QmpClient } from './qmp-client.js';
import type { Socket } from 'node:net';

const scratch = new Scratch();
afterEach(() => scratch.clean());

async function watch(
  onQuery: (request: Request, socket: Socket) => void,
  pollIntervalMs?: number,
): Promise<MigrationWatch> {
  const client = await QmpClient.connect(await listenAs(scratch, serveQmp(onQuery)), {
    commandTimeoutMs: 100,
  });
  scratch.defer(() => client.close());
  return new MigrationWatch(client, 'saving device state', pollIntervalMs);
}

const reply = (id: string, value: object) => `${JSON.stringify({ id, return: value })}\n`;
const event = (status: string) => `${JSON.stringify({ event: 'MIGRATION', data: { status } })}\n`;

describe('watching a migration', () => {
  it('ends well when the VMM says so, with events or without', async () => {
    let asked = 0;
    const watching = await watch(({ id }, socket) =>
      socket.write(reply(id, { status: asked++ === 0 ? 'active' : 'completed' })),
    );
    watching.started();
    await watching.completed;
  });

  it('asks again when the end is announced while an answer is on its way', async () => {
    const ids: string[] = [];
    const watching = await watch(({ id }, socket) => {
      ids.push(id);
      const first = ids.length === 1;
      socket.write(
        first ? event('completed') + reply(id, { status: 'active' }) : reply(id, { status: 'completed' }),
      );
    }, 600_000);
    watching.started();
    await watching.completed;
    expect(ids).toHaveLength(2);
  });

  it("fails with the VMM's words", async () => {
    const watching = await watch(({ id }, socket) =>
      socket.write(reply(id, { status: 'failed', 'error-desc': 'Broken pipe' })),
    );
    watching.started();
    await expect(watching.completed).rejects.toThrow(HostPrecondition);
    await expect(watching.completed).rejects.toThrow(/while saving device state: Broken pipe/);
  });

  it('is cancelled when somebody else cancels the migration', async () => {
    const watching = await watch(({ id }, socket) => socket.write(reply(id, { status: 'cancelled' })));
    watching.started();
    await expect(watching.completed).rejects.toThrow(Cancelled);
  });

  it('outlasts a VMM that is too busy to answer', async () => {
    let asked = 0;
    const watching = await watch(({ id }, socket) => {
      if (asked++ > 0) socket.write(reply(id, { status: 'completed' }));
    });
    watching.started();
    await watching.completed;
    expect(asked).toBeGreaterThan(1);
  });

  it('fails when the VMM ends', async () => {
    const watching = await watch((_request, socket) => socket.destroy());
    watching.started();
    await expect(watching.completed).rejects.toThrow(HostPrecondition);
  });
});
