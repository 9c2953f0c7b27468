import { credentials, Client, Metadata, status } from '@grpc/grpc-js';
import { Init, LaneKind, PageSourceService, TOKEN_KEY, UmemRequest } from '@umem/api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GuestRam } from '../testing/guest-ram.js';
import type { LaneEnd, LanePeer } from '../testing/lane-peer.js';
import { SessionLab } from '../testing/session-lab.js';

// One lab for all: what one lane does wrong no other lane may notice, so that a good lane is open all the time.

let lab: SessionLab;
let good: LanePeer;
let generation = 1n;

beforeAll(async () => {
  lab = await SessionLab.start({ ram: new GuestRam({ ram0: 100, ram1: 10 }), maxLanes: 3 });
  lab.session.freeze();
  lab.session.push();
  const token = await lab.session.createToken();
  good = await lab.open(LaneKind.DEMAND, { token });
});
afterAll(() => lab.stop());

async function expectGoodLaneWorks(): Promise<void> {
  const copies = good.copies('ram0', 1);
  good.demand('ram0', [1]);
  await good.until(() => good.copies('ram0', 1) === copies + 1);
}

async function expectEnd(lane: LanePeer, code: status, ...facts: string[]): Promise<LaneEnd> {
  const end = await lane.ended;
  expect(status[end.code]).toBe(status[code]);
  for (const fact of facts) expect(end.details).toContain(fact);
  await expectGoodLaneWorks();
  return end;
}

const servers = ['the agent', 'a worker'];
const addressOf = (server: string): string => (server === 'a worker' ? lab.worker() : lab.address);

describe.each(servers)('INIT at %s', (server) => {
  const dial = (change: Partial<Init>, token: string | null = lab.token): LanePeer => {
    const lane = lab.dial(addressOf(server), token);
    lane.init(lab.migrationId, LaneKind.BACKGROUND, lab.ram.blocks, { generation: ++generation, ...change });
    return lane;
  };
  const block = (blockId: string, pages: number, hostPageSizeBytes = 4096n) => ({
    blockId,
    sizeBytes: BigInt(pages * 4096),
    hostPageSizeBytes,
  });

  test('without a token is UNAUTHENTICATED', async () => {
    await expectEnd(dial({}, null), status.UNAUTHENTICATED, 'umem-token');
  });

  test.each(['', 'x', 'A'.repeat(43), 'A'.repeat(5000)])(
    'with the wrong token %# is refused',
    async (token) => {
      const code = token === '' ? status.UNAUTHENTICATED : status.PERMISSION_DENIED;
      const { details } = await expectEnd(dial({}, token), code, 'umem-token');
      expect(details).not.toContain(lab.token);
    },
  );

  test('of an unknown migration is NOT_FOUND', async () => {
    await expectEnd(dial({ migrationId: 'mig-other' }), status.NOT_FOUND, 'mig-other');
  });

  test.each([LaneKind.UNSPECIFIED, 7])('with lane kind %d is INVALID_ARGUMENT', async (laneKind) => {
    await expectEnd(dial({ laneKind }), status.INVALID_ARGUMENT, 'lane_kind', String(laneKind));
  });

  test.each([0, 512, 65536])(
    'with target pages of %d bytes is FAILED_PRECONDITION',
    async (targetPageSizeBytes) => {
      const lane = dial({ targetPageSizeBytes });
      await expectEnd(
        lane,
        status.FAILED_PRECONDITION,
        'target_page_size_bytes',
        String(targetPageSizeBytes),
        '4096',
      );
    },
  );

  test.each([
    ['no blocks', () => [], ['ram0']],
    ['a missing block', () => [block('ram0', 100)], ['ram1', '40960']],
    ['a larger block', () => [block('ram0', 101), block('ram1', 10)], ['ram0', '409600', '413696']],
    ['an unknown block', () => [block('ram0', 100), block('ram1', 10), block('ram2', 1)], ['ram2']],
    ['a block twice', () => [block('ram0', 100), block('ram1', 10), block('ram1', 10)], ['twice']],
    [
      'a block of 2^63 bytes',
      () => [{ ...block('ram0', 1), sizeBytes: 2n ** 63n }, block('ram1', 10)],
      ['ram0'],
    ],
  ])('with %s is FAILED_PRECONDITION naming it', async (_, blocks, facts) => {
    await expectEnd(dial({ blocks: blocks() }), status.FAILED_PRECONDITION, 'Init.blocks', ...facts);
  });

  test('with other host page sizes and another order is fine', async () => {
    const lane = dial({ blocks: [block('ram1', 10, 65536n), block('ram0', 100, 2n << 20n)] });
    expect(await lane.accepted).toBe(true);
    lane.halfClose();
    await expectEnd(lane, status.OK);
  });

  test.each([
    ['an unknown block', { blockId: 'ram7', bits: Buffer.alloc(2) }, status.NOT_FOUND, 'ram7'],
    ['too few bytes', { blockId: 'ram1', bits: Buffer.alloc(1) }, status.INVALID_ARGUMENT, '2 bytes, not 1'],
    ['too many bytes', { blockId: 'ram1', bits: Buffer.alloc(3) }, status.INVALID_ARGUMENT, '2 bytes, not 3'],
    [
      'bits past the end',
      { blockId: 'ram1', bits: Buffer.from([0, 4]) },
      status.INVALID_ARGUMENT,
      '10 pages',
    ],
  ])('with a received bitmap of %s is refused', async (_, received, code, fact) => {
    await expectEnd(dial({ received: [received] }), code, 'Init.received', fact);
  });

  test('with a received bitmap twice is INVALID_ARGUMENT', async () => {
    const received = { blockId: 'ram1', bits: Buffer.from([1, 0]) };
    await expectEnd(dial({ received: [received, received] }), status.INVALID_ARGUMENT, 'ram1', 'twice');
  });

  test('a second demand lane, or one lane too many, is RESOURCE_EXHAUSTED', async () => {
    const first = dial({ laneKind: LaneKind.DEMAND });
    expect(await first.accepted).toBe(true);
    const same = { generation };
    await expectEnd(dial({ ...same, laneKind: LaneKind.DEMAND }), status.RESOURCE_EXHAUSTED, 'demand lane');
    for (let i = 0; i < 2; i++) expect(await dial(same).accepted).toBe(true);
    await expectEnd(dial(same), status.RESOURCE_EXHAUSTED, '3 lanes', '--max-lanes');
  });
});

describe.each(servers)('a bad request at %s ends its lane:', (server) => {
  const open = (): Promise<LanePeer> =>
    lab.open(LaneKind.DEMAND, { address: addressOf(server), generation: ++generation });
  type Command = NonNullable<UmemRequest['command']>;
  const pages = (pgoffs: number[], blockId = 'ram0') => ({ blockId, pgoffs });
  const tooMany = Array.from({ length: 4064 }, () => 1);

  test.each<[string, Command, status, string[]]>([
    [
      'a second INIT',
      { $case: 'init', value: Init.fromPartial({ migrationId: 'x' }) },
      status.INVALID_ARGUMENT,
      ['INIT'],
    ],
    [
      'ON_DEMAND of an unknown block',
      { $case: 'onDemand', value: pages([1], 'nope') },
      status.NOT_FOUND,
      ['nope', 'ram0', 'ram1'],
    ],
    [
      'BACKGROUND of an unknown block',
      { $case: 'background', value: pages([1], '') },
      status.NOT_FOUND,
      ['block_id'],
    ],
    [
      'REMOVE of an unknown block',
      { $case: 'remove', value: pages([1], 'nope') },
      status.NOT_FOUND,
      ['nope'],
    ],
    [
      'ON_DEMAND past the end',
      { $case: 'onDemand', value: pages([0, 100]) },
      status.OUT_OF_RANGE,
      ['100', 'ram0'],
    ],
    [
      'ON_DEMAND far past the end',
      { $case: 'onDemand', value: pages([4294967295]) },
      status.OUT_OF_RANGE,
      ['4294967295'],
    ],
    [
      'BACKGROUND past the end',
      { $case: 'background', value: pages([10], 'ram1') },
      status.OUT_OF_RANGE,
      ['10'],
    ],
    ['REMOVE past the end', { $case: 'remove', value: pages([10], 'ram1') }, status.OUT_OF_RANGE, ['10']],
    [
      'an empty ON_DEMAND',
      { $case: 'onDemand', value: pages([]) },
      status.INVALID_ARGUMENT,
      ['ON_DEMAND.pgoffs', 'empty'],
    ],
    [
      'an empty REMOVE',
      { $case: 'remove', value: pages([]) },
      status.INVALID_ARGUMENT,
      ['REMOVE.pgoffs', 'empty'],
    ],
    ['4064 pgoffs', { $case: 'onDemand', value: pages(tooMany) }, status.INVALID_ARGUMENT, ['4064', '4063']],
    [
      'ON_DEMAND_CONT with nothing before',
      { $case: 'onDemandCont', value: { pgoffs: [1] } },
      status.INVALID_ARGUMENT,
      ['ON_DEMAND_CONT'],
    ],
    [
      'BACKGROUND_CONT with nothing before',
      { $case: 'backgroundCont', value: { pgoffs: [1] } },
      status.INVALID_ARGUMENT,
      ['BACKGROUND_CONT'],
    ],
  ])('%s', async (_, command, code, facts) => {
    const lane = await open();
    lane.send(command);
    await expectEnd(lane, code, ...facts);
    expect(lane.pages.size).toBe(0);
  });

  test('an unset command', async () => {
    const lane = await open();
    lane.sendRaw({ command: undefined });
    await expectEnd(lane, status.INVALID_ARGUMENT, 'command');
  });

  test.each<[string, Command, Command]>([
    [
      'ON_DEMAND_CONT after BACKGROUND',
      { $case: 'background', value: pages([5]) },
      { $case: 'onDemandCont', value: { pgoffs: [1] } },
    ],
    [
      'BACKGROUND_CONT after REMOVE',
      { $case: 'remove', value: pages([5]) },
      { $case: 'backgroundCont', value: { pgoffs: [1] } },
    ],
  ])('%s', async (_, before, command) => {
    const lane = await open();
    lane.send(before);
    lane.send(command);
    await expectEnd(lane, status.INVALID_ARGUMENT, '_CONT');
    expect(lane.copies('ram0', 1)).toBe(0);
  });

  test('a continuation past the end of its block', async () => {
    const lane = await open();
    lane.demand('ram1', [9]);
    lane.send({ $case: 'onDemandCont', value: { pgoffs: [10] } });
    await expectEnd(lane, status.OUT_OF_RANGE, 'ON_DEMAND_CONT', '10', 'ram1');
  });

  test('also when the client has half-closed right after it', async () => {
    const lane = await open();
    lane.demand('ram0', [1000]);
    lane.halfClose();
    await expectEnd(lane, status.OUT_OF_RANGE);
  });
});

describe.each(servers)('at %s, before INIT,', (server) => {
  test('any other command is INVALID_ARGUMENT', async () => {
    const lane = lab.dial(addressOf(server));
    lane.demand('ram0', [1]);
    await expectEnd(lane, status.INVALID_ARGUMENT, 'INIT', 'onDemand');
  });

  test('an unset command is INVALID_ARGUMENT', async () => {
    const lane = lab.dial(addressOf(server));
    lane.sendRaw({ command: undefined });
    await expectEnd(lane, status.INVALID_ARGUMENT, 'INIT');
  });

  test('the end of the stream is INVALID_ARGUMENT', async () => {
    const lane = lab.dial(addressOf(server));
    lane.halfClose();
    await expectEnd(lane, status.INVALID_ARGUMENT, 'INIT');
  });
});

test.each(servers)('bytes that are not protobuf are INVALID_ARGUMENT at %s', async (server) => {
  const client = new Client(addressOf(server), credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set(TOKEN_KEY, lab.token);
  const raw = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest(PageSourceService.serve.path, raw, raw, metadata);
  const refused = new Promise<{ code?: status; details?: string }>((resolve) =>
    stream.once('error', resolve),
  );
  const init = {
    migrationId: lab.migrationId,
    laneKind: LaneKind.DEMAND,
    targetPageSizeBytes: 4096,
    generation: ++generation,
  };
  const blocks = lab.ram.blocks.map(({ blockId, sizeBytes }) => ({ blockId, sizeBytes: BigInt(sizeBytes) }));
  const command = { $case: 'init', value: Init.fromPartial({ ...init, blocks }) } as const;
  stream.write(Buffer.from(UmemRequest.encode({ command }).finish()));
  await new Promise((resolve) => stream.once('metadata', resolve));
  stream.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
  const { code, details } = await refused;
  expect(code).toBe(status.INVALID_ARGUMENT);
  expect(details).toContain('UmemRequest');
  client.close();
  await expectGoodLaneWorks();
});

describe.each(servers)('PLACED at %s', (server) => {
  const open = (): Promise<LanePeer> =>
    lab.open(LaneKind.BACKGROUND, { address: addressOf(server), generation: ++generation });

  test('is ignored by a migration that frees nothing', async () => {
    const lane = await open();
    lane.placed('ram0', [0, 100]);
    lane.background('ram0', [3]);
    await lane.until(() => lane.copies('ram0', 3) > 0);
  });

  test('of a block that is not there is NOT_FOUND', async () => {
    const lane = await open();
    lane.placed('ram9', [0, 1]);
    await expectEnd(lane, status.NOT_FOUND, 'ram9');
  });

  test.each([
    [100, 1],
    [99, 2],
    [4_294_967_295, 4_294_967_295],
  ])('of pages %i + %i past the end is OUT_OF_RANGE', async (pgoff, pageCount) => {
    const lane = await open();
    lane.placed('ram0', [0, 1], [pgoff, pageCount]);
    await expectEnd(lane, status.OUT_OF_RANGE, String(pgoff), '100 pages');
  });

  test.each<[string, [number, number][]]>([
    ['no range', []],
    ['an empty range', [[5, 0]]],
    ['too many ranges', Array.from({ length: 4064 }, () => [0, 1])],
  ])('with %s is INVALID_ARGUMENT', async (_, ranges) => {
    const lane = await open();
    lane.placed('ram0', ...ranges);
    await expectEnd(lane, status.INVALID_ARGUMENT, 'PLACED.ranges');
  });
});
