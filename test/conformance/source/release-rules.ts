import { stat } from 'node:fs/promises';
import { status as Status } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, NotApplicable, type Rule } from '../rule.js';
import type { PageBitmapMessage, RamBlockMessage } from '../wire/messages.js';
import { toBits } from '../wire/page-bits.js';
import { PAGE_BYTES } from '../wire/read-batch.js';
import { untilTrue } from '../waits.js';
import { pageKey, type Lane } from './lane.js';
import { Peer } from './peer.js';
import type { PlayedMigration } from './played-migration.js';
import { checkEnds, completeByEoc, type SourceContext } from './source-context.js';
import { RamFiles } from './truth.js';

const PLACED = 'page_source.proto, UmemRequest.placed; protocol.md, PLACED';
const RELEASE = 'migration.proto, MigrationOptions.release_ram';
const HUGE_BYTES = 2 << 20;

/** `ranges`: first page and pages. */
function place(lane: Lane, blockId: string, ...ranges: readonly (readonly [number, number])[]): void {
  const list = ranges.map(([pgoff, count]) => ({ pgoff, page_count: count }));
  lane.send({ placed: { block_id: blockId, ranges: list } });
}

function largest({ pageCounts }: PlayedMigration): { readonly id: string; readonly pages: number } {
  const [first] = [...pageCounts].sort(([, a], [, b]) => b - a);
  if (first === undefined) throw new NotApplicable('The VM has no RAM block');
  return { id: first[0], pages: first[1] };
}

function receivedIn(
  { pageCounts }: PlayedMigration,
  has: (blockId: string, pgoff: number) => boolean,
): PageBitmapMessage[] {
  return [...pageCounts].map(([id, pages]) => ({
    block_id: id,
    bits: toBits(pages, (pgoff) => has(id, pgoff)),
  }));
}

/** Tries something with a frozen guest whose source is to free its RAM; it runs there again afterwards. */
async function withReleasing(
  context: SourceContext,
  run: (migration: PlayedMigration, peer: Peer) => Promise<void>,
): Promise<void> {
  const migration = await context.begin({ release_ram: true });
  const peer = new Peer(migration, migration.target.token);
  try {
    await migration.freeze();
    await run(migration, peer);
  } finally {
    peer.close();
    await migration.cancel();
  }
}

function isHuge({ host_page_size_bytes: size }: RamBlockMessage): boolean {
  return Number(size) === HUGE_BYTES;
}

/** A RAM file on this host, or undefined. */
function findPath({ target }: SourceContext, vm: string, blockId: string): string | undefined {
  return target.ramPaths.get(vm === target.vm ? blockId : `${vm}/${blockId}`);
}

function pathOf(context: SourceContext, vm: string, blockId: string): string {
  const path = findPath(context, vm, blockId);
  if (path === undefined)
    throw new NotApplicable(`The RAM file of ${blockId} of ${vm} is not known: name it with --ram`);
  return path;
}

async function allocated(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

export const releaseRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/release/confirm-placed',
    title: 'ConnectIncoming asks to confirm placed pages with release_ram, and only then',
    from: 'incoming.proto, ConnectIncomingRequest.confirm_placed',
    async run(context) {
      for (const release of [true, false]) {
        const migration = await context.begin({ release_ram: release });
        await migration.cancel();
        checkSame('confirm_placed', migration.script.order?.confirm_placed ?? null, release);
      }
    },
  },
  {
    id: 'source/release/ignored',
    title:
      'Without release_ram PLACED is ignored, on any lane and at any time: the pages are sent again on demand and after a new connection',
    from: PLACED,
    async run(context) {
      const peer = await context.peer();
      const { id, pages } = await context.largestBlock();
      const lane = await peer.open('demand');
      const background = await peer.open('background');
      place(lane, id, [0, 5], [100, 1], [0, 5], [pages - 1, 1]);
      place(background, id, [0, pages]);
      await lane.pull(id, [0, 4, 100]);
      const next = await peer.open('demand', { generation: 2 });
      await next.pull(id, [0, 4, 100, pages - 1]);
      await context.checkPages(next, id, [0, 4, 100, pages - 1]);
    },
  },
  {
    id: 'source/release/no-tokens',
    title:
      'A migration with release_ram has no further page servers: CreateLaneToken is refused with FAILED_PRECONDITION',
    from: RELEASE,
    run: (context) =>
      withReleasing(context, async (migration) => {
        await checkRefused('CreateLaneToken', migration.createToken(), Status.FAILED_PRECONDITION);
      }),
  },
  {
    id: 'source/release/never-again',
    title: 'With release_ram confirmed pages are never sent again, not even on demand; their neighbours are',
    from: PLACED,
    run: (context) =>
      withReleasing(context, async (migration, peer) => {
        const { id } = largest(migration);
        const lane = await peer.open('demand');
        await lane.pull(id, [10, 11, 12, 13, 20]);
        lane.pages.clear();
        place(lane, id, [11, 2], [20, 1]);
        lane.send({ on_demand: { block_id: id, pgoffs: [10, 11, 12, 13, 20, 21] } });
        await lane.barrier(id, 30);
        for (const pgoff of [10, 13, 21])
          check(lane.pages.has(pageKey(id, pgoff)), `Page ${pgoff}, which was not confirmed, has not come`);
        for (const pgoff of [11, 12, 20])
          check(!lane.pages.has(pageKey(id, pgoff)), `Page ${pgoff} came although it was confirmed`);
      }),
  },
  {
    id: 'source/release/data-loss',
    title:
      'With release_ram a connection whose received bitmaps lack a confirmed page is refused with DATA_LOSS; one that has all is accepted',
    from: PLACED,
    run: (context) =>
      withReleasing(context, async (migration, peer) => {
        const { id } = largest(migration);
        const lane = await peer.open('demand');
        await lane.pull(id, [40, 41]);
        place(lane, id, [40, 2]);
        await lane.barrier(id, 50);
        for (const has of [[], [40], [41]]) {
          peer.generation++;
          const received = receivedIn(migration, (block, pgoff) => block === id && has.includes(pgoff));
          const late = peer.dial();
          late.send(peer.init('demand', { received }));
          await checkEnds(late, [Status.DATA_LOSS]);
        }
        peer.generation++;
        const received = receivedIn(migration, (block, pgoff) => block === id && [40, 41].includes(pgoff));
        const next = await peer.open('demand', { received });
        await next.pull(id, [42]);
      }),
  },
  {
    id: 'source/release/bad-message',
    title: 'With release_ram nothing of a bad PLACED is confirmed',
    from: 'page_source.proto, PageSource.Serve: a bad message',
    run: (context) =>
      withReleasing(context, async (migration, peer) => {
        const { id, pages } = largest(migration);
        const lane = await peer.open('demand');
        place(lane, id, [60, 2], [pages, 1]);
        await checkEnds(lane, [Status.OUT_OF_RANGE]);
        peer.generation++;
        const next = await peer.open('demand');
        await next.pull(id, [60, 61]);
      }),
  },
  {
    id: 'source/release/given-back',
    title:
      'With release_ram nothing is freed before the point of no return: a guest that runs at its source again is whole',
    from: RELEASE,
    async run(context) {
      const { id } = await context.largestBlock();
      const path = pathOf(context, context.target.vm, id);
      const migration = await context.begin({ release_ram: true });
      const peer = new Peer(migration, migration.target.token);
      const { pages } = largest(migration);
      const pgoffs = Array.from({ length: Math.min(512, pages) }, (_, pgoff) => pgoff);
      const truth = new RamFiles(context.target.ramPaths);
      try {
        await migration.freeze();
        const before = await truth.pages(id, pgoffs);
        const bytes = await allocated(path);
        const lane = await peer.open('demand');
        place(lane, id, [0, pages - 1]);
        await lane.barrier(id, pages - 1);
        const after = await truth.pages(id, pgoffs);
        check(
          after.every((page, index) => page.equals(before[index] ?? Buffer.of())),
          'Pages have changed in the RAM file although the guest may run here again',
        );
        checkSame('bytes allocated to the RAM file', await allocated(path), bytes);
      } finally {
        peer.close();
        await migration.cancel();
      }
      checkSame('run state of the source guest', await migration.runState(), 'VM_RUN_STATE_RUNNING');
    },
  },
  {
    id: 'source/release/freed',
    title:
      'After the point of no return confirmed pages are freed at the source, those confirmed before it too, and no other; EOC before EOS completes the migration',
    from: `${RELEASE}; page_source.proto, UmemRequest.eoc`,
    destructive: true,
    async run(context) {
      const isWanted = (vm: string, blocks: readonly RamBlockMessage[]): boolean =>
        blocks.every((block) => !isHuge(block) && findPath(context, vm, block.block_id) !== undefined);
      const { migration, peer } = await context.beginSpare({ release_ram: true }, isWanted);
      const { id, pages } = largest(migration);
      const path = pathOf(context, migration.vm, id);
      const demand = await peer.open('demand');
      await migration.freeze();
      const kept = await new RamFiles(new Map([[id, path]])).pages(id, [5, 11, pages - 1]);
      place(demand, id, [0, 5]);
      await demand.barrier(id, 5);
      const full = await allocated(path);
      await migration.activate();
      await untilTrue(
        'early pages to be freed',
        async () => (await allocated(path)) <= full - 5 * PAGE_BYTES,
      );
      const background = await peer.open('background');
      place(background, id, [6, 5], [12, pages - 13]);
      const left = 3 * PAGE_BYTES;
      await untilTrue('confirmed pages to be freed', async () => (await allocated(path)) <= left);
      checkSame('bytes that stay allocated', await allocated(path), left);
      await demand.barrier(id, 11);
      await demand.pull(id, [5, 11, pages - 1]);
      for (const [index, pgoff] of [5, 11, pages - 1].entries())
        check(
          demand.pages.get(pageKey(id, pgoff))?.equals(kept[index] ?? Buffer.of()) === true,
          `Page ${pgoff}, which was not confirmed, has other bytes than before`,
        );
      await completeByEoc(migration, [demand, background]);
    },
  },
  {
    id: 'source/release/huge-page',
    title: 'A huge page of the source is freed when all of its target pages were confirmed, not before',
    from: `${RELEASE}; ram.proto, RamBlock.host_page_size_bytes`,
    destructive: true,
    async run(context) {
      const isWanted = (vm: string, blocks: readonly RamBlockMessage[]): boolean =>
        blocks.some((block) => isHuge(block) && findPath(context, vm, block.block_id) !== undefined);
      const { migration, peer } = await context.beginSpare({ release_ram: true }, isWanted);
      const id = migration.blocks.find(isHuge)?.block_id ?? '';
      const path = pathOf(context, migration.vm, id);
      const demand = await peer.open('demand');
      await migration.freeze();
      await migration.activate();
      const perHugePage = HUGE_BYTES / PAGE_BYTES;
      const full = await allocated(path);
      place(demand, id, [0, 100], [101, perHugePage - 101], [perHugePage, 1]);
      await demand.barrier(id, 100);
      checkSame('bytes allocated with one page missing', await allocated(path), full);
      place(demand, id, [100, 1]);
      await untilTrue('the huge page to be freed', async () => (await allocated(path)) === full - HUGE_BYTES);
      await demand.barrier(id, perHugePage + 1);
    },
  },
];
