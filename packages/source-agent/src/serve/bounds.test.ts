import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, Metadata, type ClientDuplexStream } from '@grpc/grpc-js';
import {
  LaneKind,
  MAX_MESSAGE_BYTES,
  PageSourceService,
  toBlockMessages,
  TOKEN_KEY,
  UmemRequest,
} from '@umem/api';
import { MAX_PGOFFS_PER_MESSAGE, TARGET_PAGE_SIZE } from '@umem/ram';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { GuestRam } from '../testing/guest-ram.js';
import { SessionLab } from '../testing/session-lab.js';

const MIB = 1 << 20;
/** What the hostile page server would like to send. */
const FLOOD_BYTES = 256 * MIB;
/** A peer that has taken nothing for so long holds its client back. */
const HELD_BACK_MS = 1_000;
/** Requests on the lane, in the stream's buffer and in the window of HTTP/2. */
const MOST_BYTES = 8 * MIB;

let lab: SessionLab;
afterEach(() => lab.stop());

type RawLane = ClientDuplexStream<Buffer, Buffer>;

/** A lane whose client writes bytes as they are, reads nothing, and was accepted. */
async function openRaw(address: string, kind: LaneKind): Promise<RawLane> {
  const client = new Client(address, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  const metadata = new Metadata();
  metadata.set(TOKEN_KEY, lab.token);
  const lane = client.makeBidiStreamRequest(PageSourceService.serve.path, same, same, metadata);
  lane.on('error', () => {}); // What becomes of a lane that asks too much is no matter here.
  onTestFinished(() => {
    lane.cancel();
    client.close();
  });
  const init = {
    migrationId: lab.migrationId,
    laneKind: kind,
    targetPageSizeBytes: TARGET_PAGE_SIZE,
    blocks: toBlockMessages(lab.ram.blocks),
    received: [],
    generation: 1n,
  };
  const accepted = once(lane, 'metadata');
  lane.write(encode({ $case: 'init', value: init }));
  await accepted;
  // Until a read has begun grpc-js takes all that comes, and it is the source that shall be held back.
  lane.read(0);
  return lane;
}

function encode(command: NonNullable<UmemRequest['command']>): Buffer {
  return Buffer.from(UmemRequest.encode({ command }).finish());
}

const demand = (pages: number): Buffer => {
  const pgoffs = Array.from({ length: pages }, (_, i) => i % 1000);
  return encode({ $case: 'onDemand', value: { blockId: 'ram0', pgoffs } });
};

/** Sends the message again and again until the source takes no more or refuses; answers the bytes that it took. */
async function flood(lane: RawLane, message: Buffer): Promise<number> {
  let sent = 0;
  const over = once(lane, 'status').then(() => true);
  while (sent < FLOOD_BYTES) {
    sent += message.length;
    if (lane.write(message)) continue;
    const drained = once(lane, 'drain').then(() => false);
    if (await Promise.race([drained, over, delay(HELD_BACK_MS, true)])) break;
  }
  return sent;
}

describe.each(['the agent', 'a worker'])('a page server that floods %s with requests', (server) => {
  const open = async (kind: LaneKind): Promise<RawLane> => {
    lab = await SessionLab.start({ ram: new GuestRam({ ram0: 1000 }) });
    return openRaw(server === 'a worker' ? lab.worker() : lab.address, kind);
  };

  test.each([
    ['as long as they may be', MAX_PGOFFS_PER_MESSAGE],
    ['of one page', 1],
  ])('%s is held back while the guest is not frozen', async (_length, pages) => {
    const lane = await open(LaneKind.DEMAND);
    expect(await flood(lane, demand(pages))).toBeLessThan(MOST_BYTES);
  });

  test.each([
    ['demand', LaneKind.DEMAND],
    ['background', LaneKind.BACKGROUND],
  ])('is held back while it reads no reply on a %s lane', async (_kind, kind) => {
    const lane = await open(kind);
    lab.session.freeze();
    lab.session.push();
    expect(await flood(lane, demand(MAX_PGOFFS_PER_MESSAGE))).toBeLessThan(MOST_BYTES);
  });
});

test('requests that are longer than any can be are not decoded while the lane is not read', async () => {
  lab = await SessionLab.start({ ram: new GuestRam({ ram0: 1000 }) });
  const lane = await openRaw(lab.address, LaneKind.DEMAND);
  const long = demand(4 * MIB);
  expect(long.length).toBeLessThan(MAX_MESSAGE_BYTES);
  const before = process.memoryUsage().heapUsed;
  // As many as make the source read no further.
  for (let i = 0; i < 10; i++) lane.write(demand(MAX_PGOFFS_PER_MESSAGE));
  expect(await flood(lane, long)).toBeLessThan(FLOOD_BYTES);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * MIB);
});
