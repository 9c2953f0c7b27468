import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Metadata, Server, status, type ServerDuplexStream, type StatusObject } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { PageEncoding, type UmemReply, type UmemRequest } from './gen/umem/v1/page_source.js';
import { LaneClient, LaneServerService, type Malformed, type OutgoingReply } from './lane.js';
import { DEMAND_CHANNEL, SERVER } from './options.js';
import { allocateBatchBuffer } from './page-batch-codec.js';
import { connectOver, serveOver, type SocketTarget } from './socket-connection.js';
import { socketPair } from './testing/socket-pair.js';

const PAGE = 4096;

type ServerLane = ServerDuplexStream<UmemRequest | Malformed, OutgoingReply>;

/** Whether what helped a client to connect is still there. */
const isDoorThere = ({ address }: SocketTarget): boolean =>
  readFileSync('/proc/net/unix', 'utf8').includes(address.slice('unix:\0'.length));

/** A server with lanes that run `handle`, on one end of a connection. */
function serve(socket: Socket, handle: (lane: ServerLane) => void): Server {
  const server = new Server(SERVER);
  server.addService(LaneServerService, { serve: handle });
  serveOver(server, socket);
  onTestFinished(() => server.forceShutdown());
  return server;
}

function dial(socket: Socket): { target: SocketTarget; client: LaneClient } {
  const target = connectOver(() => socket, 'fd:7');
  const client = new LaneClient(target.address, target.credentials, DEMAND_CHANNEL);
  onTestFinished(() => {
    client.close();
    target.close();
  });
  return { target, client };
}

/** One whole call; resolves with its status and what came. */
async function callLane(client: LaneClient): Promise<{ ended: StatusObject; pages: Buffer }> {
  const lane = client.serve(new Metadata());
  lane.on('error', () => {}); // The status says it.
  const received: Uint8Array[] = [];
  lane.on('data', ({ reply }: UmemReply) => {
    if (reply?.$case === 'pages') received.push(reply.value.data);
  });
  lane.write({ command: { $case: 'eoc', value: {} } });
  const ended = await new Promise<StatusObject>((resolve) => lane.once('status', resolve));
  return { ended, pages: Buffer.concat(received) };
}

/** Sends `count` batches of 64 pages, each filled with its number, and waits where the peer does not read. */
async function sendBatches(lane: ServerLane, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const buffer = allocateBatchBuffer(64 * PAGE).fill(i);
    const runs = [{ pgoff: i * 64, pageCount: 64, encoding: PageEncoding.RAW, fillValue: 0 } as const];
    if (!lane.write({ blockId: 'ram0', runs, buffer, dataBytes: 64 * PAGE })) await once(lane, 'drain');
  }
  lane.end();
}

test.each(['unix', 'tcp'] as const)('a lane brings every byte over a connected %s socket', async (kind) => {
  const [near, far] = await socketPair(kind);
  serve(far, (lane) => void lane.on('data', () => void sendBatches(lane, 64)));
  const { ended, pages } = await callLane(dial(near).client);
  expect(ended.code).toBe(status.OK);
  const expected = Buffer.concat(Array.from({ length: 64 }, (_, i) => Buffer.alloc(64 * PAGE, i)));
  expect(Buffer.compare(pages, expected)).toBe(0);
});

test('lanes share the connection that they are given', async () => {
  const [near, far] = await socketPair();
  serve(far, (lane) => void lane.on('data', () => void sendBatches(lane, 2)));
  const { client } = dial(near);
  const lanes = await Promise.all([callLane(client), callLane(client)]);
  expect(lanes.map(({ ended, pages }) => [ended.code, pages.length])).toEqual([
    [status.OK, 128 * PAGE],
    [status.OK, 128 * PAGE],
  ]);
});

test('the connection ends with the client, and the server hears of it', async () => {
  const [near, far] = await socketPair();
  serve(far, (lane) => void lane.on('data', () => lane.end()));
  const { client, target } = dial(near);
  await callLane(client);
  const ended = once(far, 'close');
  expect(isDoorThere(target)).toBe(true);
  client.close();
  target.close();
  await ended;
  expect(isDoorThere(target)).toBe(false);
});

test('a lost connection ends the lane, and is never connected again', async () => {
  const [near, far] = await socketPair();
  serve(far, (lane) => void lane.on('data', () => far.destroy()));
  const { client } = dial(near);
  expect((await callLane(client)).ended.code).toBe(status.UNAVAILABLE);
  const { ended } = await callLane(client);
  expect(ended.code).toBe(status.UNAVAILABLE);
  expect(ended.details).toContain('fd:7 is one connection and has been used');
});

test('a peer that hangs up before a word ends the lane', async () => {
  const [near, far] = await socketPair();
  far.destroy();
  expect((await callLane(dial(near).client)).ended.code).toBe(status.UNAVAILABLE);
});

test('a peer that speaks something else than HTTP/2 ends the lane', async () => {
  const [near, far] = await socketPair();
  far.resume().end('220 mail.example ESMTP\r\n'.repeat(100));
  expect((await callLane(dial(near).client)).ended.code).not.toBe(status.OK);
});

test('a connection that no call has used ends when its target is closed', async () => {
  const [near, far] = await socketPair();
  const target = connectOver(() => near, 'fd:7');
  const ended = once(far.resume(), 'close');
  target.close();
  target.close();
  await ended;
  expect(isDoorThere(target)).toBe(false);
});

test('what ends before a client has spoken is let go of by the server', async () => {
  const [near, far] = await socketPair();
  serve(far, (lane) => lane.end());
  const ended = once(far, 'close');
  near.end();
  await ended;
});
