import { once } from 'node:events';
import { Client, credentials, Metadata, status, type ServerDuplexStream } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { PageEncoding, PageSourceService, UmemReply, UmemRequest } from './gen/umem/v1/page_source.js';
import {
  LaneClient,
  LaneServerService,
  MAX_REQUEST_BYTES,
  TOKEN_KEY,
  type Malformed,
  type OutgoingReply,
} from './lane.js';
import { DEMAND_CHANNEL } from './options.js';
import { allocateBatchBuffer, HEADER_ROOM } from './page-batch-codec.js';
import { serve } from './testing/serve.js';

type ServerLane = ServerDuplexStream<UmemRequest | Malformed, OutgoingReply>;

/** A server whose lanes run `handle`, and one open lane to it. */
async function openLane(handle: (lane: ServerLane) => void) {
  const address = await serve(LaneServerService, { serve: handle });
  const client = new LaneClient(address, credentials.createInsecure(), DEMAND_CHANNEL);
  onTestFinished(() => client.close());
  const metadata = new Metadata();
  metadata.set(TOKEN_KEY, 'dG9rZW4');
  const lane = client.serve(metadata);
  lane.on('error', () => {}); // The tests look at the status.
  return { address, lane };
}

test('a request, its token, a batch and EOS go through, with the length of each message', async () => {
  const { lane } = await openLane((server) => {
    expect(server.metadata.get(TOKEN_KEY)).toEqual(['dG9rZW4']);
    server.on('data', (request: UmemRequest) => {
      expect(request.command).toMatchObject({ $case: 'onDemand', value: { blockId: 'ram0', pgoffs: [9] } });
      const buffer = allocateBatchBuffer(4096).fill(0x5a);
      server.write({
        blockId: 'ram0',
        runs: [{ pgoff: 9, pageCount: 1, encoding: PageEncoding.RAW, fillValue: 0 }],
        buffer,
        dataBytes: 4096,
      });
      server.write({ eos: true });
      server.end();
    });
  });
  lane.write({ command: { $case: 'onDemand', value: { blockId: 'ram0', pgoffs: [9] } } });
  const [pages, eos] = (await lane.toArray()) as (UmemReply & { messageBytes: number })[];
  if (pages?.reply?.$case !== 'pages') throw new Error('Not pages');
  expect(Buffer.compare(pages.reply.value.data, Buffer.alloc(4096, 0x5a))).toBe(0);
  expect(pages.messageBytes).toBe(UmemReply.encode(pages).finish().length);
  expect(eos).toMatchObject({ reply: { $case: 'eos' }, messageBytes: 2 });
});

test('bytes that are no request arrive at the source as a value, and the lane lives on', async () => {
  const seen: (UmemRequest | Malformed)[] = [];
  const { address } = await openLane((server) => {
    server.on('data', (request: UmemRequest | Malformed) => seen.push(request));
    server.on('end', () => server.end());
  });
  const raw = new Client(address, credentials.createInsecure());
  onTestFinished(() => raw.close());
  const same = (bytes: Buffer): Buffer => bytes;
  const lane = raw.makeBidiStreamRequest(PageSourceService.serve.path, same, same, new Metadata());
  lane.write(Buffer.from([0xff, 0xff, 0xff]));
  lane.write(Buffer.from([0x12, 0x05, 0x0a]));
  lane.end();
  lane.resume();
  const [ended] = (await once(lane, 'status')) as [{ code: status }];
  expect(ended.code).toBe(status.OK);
  expect(seen).toEqual([{ malformed: expect.any(String) }, { malformed: expect.any(String) }]);
});

test('a long request that is no INIT is not even decoded', () => {
  const encode = (command: NonNullable<UmemRequest['command']>): Buffer =>
    Buffer.from(UmemRequest.encode({ command }).finish());
  const decode = LaneServerService.serve.requestDeserialize;
  const pgoffs = Array.from({ length: 4063 }, () => 2 ** 32 - 1);
  const ranges = pgoffs.map((pgoff) => ({ pgoff, pageCount: pgoff }));
  const blockId = 'r'.repeat(255);
  const longest = encode({ $case: 'placed', value: { blockId, ranges } });
  expect(longest.length).toBeLessThanOrEqual(MAX_REQUEST_BYTES);
  expect(decode(longest)).toMatchObject({ command: { $case: 'placed' } });

  const tooLong = encode({
    $case: 'remove',
    value: { blockId, pgoffs: pgoffs.concat(pgoffs, pgoffs, pgoffs) },
  });
  expect(decode(tooLong)).toEqual({ malformed: expect.stringContaining(`${tooLong.length} bytes`) });

  const received = [{ blockId, bits: Buffer.alloc(1 << 20) }];
  const init = {
    migrationId: '',
    laneKind: 1,
    targetPageSizeBytes: 4096,
    blocks: [],
    received,
    generation: 1n,
  };
  expect(decode(encode({ $case: 'init', value: init }))).toMatchObject({ command: { $case: 'init' } });
});

test('bytes that are no reply arrive at the page server as a value', async () => {
  const garbage = {
    serve: { ...LaneServerService.serve, responseSerialize: (bytes: Buffer): Buffer => bytes },
  };
  const address = await serve(garbage, {
    serve: (server: ServerDuplexStream<unknown, Buffer>) => {
      server.write(Buffer.from([0x0a, 0x05, 0x0a, 0x64, 0x61]));
      server.end();
    },
  });
  const client = new LaneClient(address, credentials.createInsecure(), DEMAND_CHANNEL);
  onTestFinished(() => client.close());
  const lane = client.serve(new Metadata());
  // A block id of 100 bytes of which one is there.
  expect(await lane.toArray()).toEqual([{ malformed: expect.any(String), messageBytes: 5 }]);
});

test('a batch is written from its own buffer and not before it is handed over', () => {
  const buffer = allocateBatchBuffer(4096);
  const runs = [{ pgoff: 0, pageCount: 1, encoding: PageEncoding.RAW, fillValue: 0 } as const];
  const bytes = LaneServerService.serve.responseSerialize({ blockId: 'ram0', runs, buffer, dataBytes: 4096 });
  expect(bytes.buffer).toBe(buffer.buffer);
  expect(bytes.byteOffset + bytes.length).toBe(buffer.byteOffset + HEADER_ROOM + 4096);
});
