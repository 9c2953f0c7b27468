import { status as Status } from '@grpc/grpc-js';
import { open } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../kit/eventually.js';
import { Lab } from '../kit/lab.js';
import { ProcessMove } from '../kit/process-move.js';
import { ForeignClient } from './foreign-client.js';
import { ForeignLane } from './foreign-lane.js';

const MIB = 2 ** 20;
const PAGE = 4096;
const BLOCK = 'ram0';
const BLOCK_PAGES = (16 * MIB) / PAGE;

interface Block {
  readonly block_id: string;
  readonly size_bytes: string;
  readonly host_page_size_bytes: string;
}

let lab: Lab;
let move: ProcessMove;
let address: string;
let blocks: readonly Block[];
let migrationId: string;
/** A lane that must not notice what the others do. */
let bystander: ForeignLane;
let token: string;

// A guest that has moved and touches a part of its memory only, with nobody pushing the rest: the
// source keeps serving for as long as the tests need.
beforeAll(async () => {
  lab = await Lab.open();
  move = await ProcessMove.start(lab, {
    blockSizes: [16 * MIB, 8 * MIB],
    workload: { workingSetBytes: MIB, constantPercent: 20 },
  });
  await move.makeReady();
  const migrate = await move.startMigrate('--no-background', '--detach');
  await migrate.exited;
  ({ migrationId } = await move.waitForMigration(({ state }) => state === 'POSTCOPY_ACTIVE'));

  address = move.source.sourceAgent.address;
  const client = new ForeignClient(address);
  blocks = ((await client.call('VmService', 'GetVm', { name: move.vm })) as { blocks: Block[] }).blocks;
  token = await createToken(client);
  bystander = await openLane(await createToken(client));
  client.close();
});

afterAll(async () => {
  bystander.close();
  await lab.close();
});

async function createToken(client: ForeignClient): Promise<string> {
  const answer = await client.call('MigrationService', 'CreateLaneToken', { migration: move.vm });
  return (answer as { token: string }).token;
}

function init(changes: object = {}): object {
  return {
    init: {
      migration_id: migrationId,
      lane_kind: 'LANE_KIND_DEMAND',
      target_page_size_bytes: PAGE,
      blocks,
      generation: 1,
      ...changes,
    },
  };
}

async function openLane(laneToken: string): Promise<ForeignLane> {
  const lane = new ForeignLane(address, laneToken);
  lane.send(init());
  const refused = await lane.accepted;
  if (refused !== null) throw new Error(`Refused: ${Status[refused.code]} ${refused.details}`);
  return lane;
}

async function sourcePages(pgoffs: readonly number[]): Promise<Buffer[]> {
  const file = await open(move.ramPaths.get(BLOCK) ?? '');
  try {
    return await Promise.all(
      pgoffs.map(async (pgoff) => (await file.read(Buffer.alloc(PAGE), 0, PAGE, pgoff * PAGE)).buffer),
    );
  } finally {
    await file.close();
  }
}

/** The next page that nobody has asked for yet, from the end of the block. */
let nextPage = BLOCK_PAGES;

async function expectBystanderUndisturbed(): Promise<void> {
  nextPage -= 1;
  expect(await bystander.pull(BLOCK, [nextPage])).toEqual(await sourcePages([nextPage]));
}

describe('a page server that somebody else wrote', () => {
  it('gets exactly the bytes of the pages it asks for', async () => {
    const lane = await openLane(token);
    const pgoffs = [0, 1, 2, 77, 76, 1000, 2047, BLOCK_PAGES - 1];
    expect(await lane.pull(BLOCK, pgoffs)).toEqual(await sourcePages(pgoffs));
    lane.close();
  });

  it('may ask for the same page twice and gets it twice', async () => {
    const lane = await openLane(token);
    await lane.pull(BLOCK, [5]);
    lane.pages.clear();
    expect(await lane.pull(BLOCK, [5])).toEqual(await sourcePages([5]));
    lane.close();
  });

  it('gets pages that it asks for in continuations, on demand and in the background', async () => {
    const lane = await openLane(token);
    lane.send({ on_demand: { block_id: BLOCK, pgoffs: [10] } });
    lane.send({ on_demand_cont: { pgoffs: [11, 12] } });
    expect(await lane.pull(BLOCK, [13])).toHaveLength(1);
    await eventually('the continued pages', () =>
      [10, 11, 12].every((pgoff) => lane.pages.has(`${BLOCK}:${pgoff}`)) ? true : null,
    );
    lane.send({ background: { block_id: BLOCK, pgoffs: [20] } });
    lane.send({ background_cont: { pgoffs: [21] } });
    await eventually('the background pages', () =>
      [20, 21].every((pgoff) => lane.pages.has(`${BLOCK}:${pgoff}`)) ? true : null,
    );
    const wanted = [10, 11, 12, 20, 21];
    expect(wanted.map((pgoff) => lane.pages.get(`${BLOCK}:${pgoff}`))).toEqual(await sourcePages(wanted));
    lane.close();
  });

  it('may ask for 4063 pages in one message', async () => {
    const lane = await openLane(token);
    const pgoffs = Array.from({ length: 4063 }, (_, index) => index);
    const pages = await lane.pull(BLOCK, pgoffs);
    const expected = await sourcePages(pgoffs);
    expect(pages.findIndex((page, index) => !page.equals(expected[index] ?? Buffer.of()))).toBe(-1);
    lane.close();
  });
});

interface Refusal {
  readonly what: string;
  readonly requests: () => (object | Buffer)[];
  readonly code: Status;
  /** Words that the status must contain. */
  readonly says?: RegExp;
}

/** Field 99, wire type 2, no bytes: a command of the future. */
const UNKNOWN_COMMAND = Buffer.of(0x9a, 0x06, 0x00);
const { ABORTED, FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE } = Status;

const BAD_FIRST_MESSAGES: readonly Refusal[] = [
  {
    what: 'a request before INIT',
    requests: () => [{ on_demand: { block_id: BLOCK, pgoffs: [1] } }],
    code: INVALID_ARGUMENT,
  },
  { what: 'EOC before INIT', requests: () => [{ eoc: {} }], code: INVALID_ARGUMENT },
  {
    what: 'a migration that does not exist',
    requests: () => [init({ migration_id: 'm-none' })],
    code: NOT_FOUND,
  },
  { what: 'an unset lane kind', requests: () => [init({ lane_kind: 0 })], code: INVALID_ARGUMENT },
  { what: 'an unknown lane kind', requests: () => [init({ lane_kind: 77 })], code: INVALID_ARGUMENT },
  {
    what: 'another target page size',
    requests: () => [init({ target_page_size_bytes: 8192 })],
    code: FAILED_PRECONDITION,
    says: /8192[^]*4096|4096[^]*8192/,
  },
  {
    what: 'a block of another size',
    requests: () => [init({ blocks: blocks.map((block) => ({ ...block, size_bytes: `${4 * MIB}` })) })],
    code: FAILED_PRECONDITION,
    says: /4194304[^]*16777216|16777216[^]*4194304/,
  },
  {
    what: 'a block too few',
    requests: () => [init({ blocks: blocks.slice(0, 1) })],
    code: FAILED_PRECONDITION,
  },
  {
    what: 'a block too many',
    requests: () => [init({ blocks: [...blocks, { ...blocks[0], block_id: 'other' }] })],
    code: FAILED_PRECONDITION,
  },
  {
    what: 'a block that is named twice',
    requests: () => [init({ blocks: [...blocks, blocks[0]] })],
    code: FAILED_PRECONDITION,
  },
  {
    what: 'a received bitmap of the wrong length',
    requests: () => [init({ received: [{ block_id: BLOCK, bits: Buffer.alloc(3) }] })],
    code: INVALID_ARGUMENT,
  },
  {
    what: 'a received bitmap of an unknown block',
    requests: () => [init({ received: [{ block_id: 'other', bits: Buffer.alloc(3) }] })],
    code: NOT_FOUND,
  },
];

const BAD_LATER_MESSAGES: readonly Refusal[] = [
  { what: 'a second INIT', requests: () => [init()], code: INVALID_ARGUMENT },
  { what: 'no command at all', requests: () => [{}], code: INVALID_ARGUMENT },
  { what: 'a command of the future', requests: () => [UNKNOWN_COMMAND], code: INVALID_ARGUMENT },
  {
    what: 'ON_DEMAND_CONT with nothing to continue',
    requests: () => [{ on_demand_cont: { pgoffs: [1] } }],
    code: INVALID_ARGUMENT,
  },
  {
    what: 'BACKGROUND_CONT with nothing to continue',
    requests: () => [{ background_cont: { pgoffs: [1] } }],
    code: INVALID_ARGUMENT,
  },
  {
    what: 'BACKGROUND_CONT after ON_DEMAND',
    requests: () => [{ on_demand: { block_id: BLOCK, pgoffs: [1] } }, { background_cont: { pgoffs: [2] } }],
    code: INVALID_ARGUMENT,
  },
  ...(['on_demand', 'background', 'remove'] as const).flatMap((command): Refusal[] => [
    {
      what: `${command} of an unknown block`,
      requests: () => [{ [command]: { block_id: 'other', pgoffs: [1] } }],
      code: NOT_FOUND,
      says: /other/,
    },
    {
      what: `${command} past the end of its block`,
      requests: () => [{ [command]: { block_id: BLOCK, pgoffs: [3, BLOCK_PAGES] } }],
      code: OUT_OF_RANGE,
      says: /4096/,
    },
    {
      what: `${command} of no page`,
      requests: () => [{ [command]: { block_id: BLOCK, pgoffs: [] } }],
      code: INVALID_ARGUMENT,
    },
    {
      what: `${command} of 4064 pages`,
      requests: () => [{ [command]: { block_id: BLOCK, pgoffs: new Array<number>(4064).fill(3) } }],
      code: INVALID_ARGUMENT,
      says: /4063/,
    },
  ]),
  {
    what: 'a continuation past the end of its block',
    requests: () => [
      { background: { block_id: BLOCK, pgoffs: [30] } },
      { background_cont: { pgoffs: [2 ** 32 - 1] } },
    ],
    code: OUT_OF_RANGE,
  },
];

describe('a lane with a bad message ends with the stated status, and no other lane notices:', () => {
  it('no token', async () => {
    const lane = new ForeignLane(address, null);
    lane.send(init());
    expect((await lane.ended).code).toBe(Status.UNAUTHENTICATED);
    await expectBystanderUndisturbed();
  });

  it.each(['', 'x', 'A'.repeat(43)])('a wrong token (%j)', async (wrong) => {
    const lane = new ForeignLane(address, wrong);
    lane.send(init());
    const { code, details } = await lane.ended;
    expect([Status.PERMISSION_DENIED, Status.UNAUTHENTICATED]).toContain(code);
    expect(code).toBe(wrong === '' ? code : Status.PERMISSION_DENIED);
    expect(details).not.toContain(token);
    await expectBystanderUndisturbed();
  });

  it.each(BAD_FIRST_MESSAGES)('$what', async ({ requests, code, says }) => {
    const lane = new ForeignLane(address, token);
    for (const request of requests()) lane.send(request);
    const ended = await lane.ended;
    expect(Status[ended.code]).toBe(Status[code]);
    if (says !== undefined) expect(ended.details).toMatch(says);
    expect(lane.pages.size).toBe(0);
    await expectBystanderUndisturbed();
  });

  it.each(BAD_LATER_MESSAGES)('$what', async ({ requests, code, says }) => {
    const lane = await openLane(token);
    for (const request of requests()) lane.send(request);
    const ended = await lane.ended;
    expect(Status[ended.code]).toBe(Status[code]);
    if (says !== undefined) expect(ended.details).toMatch(says);
    // Nothing of the bad message is served, not even its good pages.
    expect(lane.pages.has(`${BLOCK}:3`)).toBe(false);
    await expectBystanderUndisturbed();
  });

  it('bytes that are no message', async () => {
    const lane = await openLane(token);
    lane.send(Buffer.from('ffffffffff', 'hex'));
    expect([Status.INTERNAL, INVALID_ARGUMENT]).toContain((await lane.ended).code);
    await expectBystanderUndisturbed();
  });

  it('a generation older than the newest', async () => {
    const client = new ForeignClient(address);
    const ownToken = await createToken(client);
    client.close();
    const newer = new ForeignLane(address, ownToken);
    newer.send(init({ generation: 2 }));
    expect(await newer.accepted).toBeNull();
    const older = new ForeignLane(address, ownToken);
    older.send(init({ generation: 1 }));
    expect(Status[(await older.ended).code]).toBe(Status[ABORTED]);
    newer.close();
    await expectBystanderUndisturbed();
  });
});

it('leaves the moved guest without a single mismatch', async () => {
  expect(move.source.sourceAgent.child.running).toBe(true);
  expect((await move.migration()).state).toBe('POSTCOPY_ACTIVE');
});
