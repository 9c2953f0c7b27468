import { status as Status } from '@grpc/grpc-js';
import { check, checkSame, type Rule } from '../rule.js';
import { BreakableLink } from '../wire/breakable-link.js';
import { pageKey, type Lane, type PageKey } from './lane.js';
import { receivedWhere } from './received-rules.js';
import { checkEnds, type SourceContext } from './source-context.js';
import { StalledLane } from './stalled-lane.js';

const BACKGROUND = 'page_source.proto, LANE_KIND_BACKGROUND';

/** What a source may have on its way for a lane that nobody reads: its window and a few batches. */
const MAX_STUCK_PAGES = 16 * 256;

async function allPages(context: SourceContext): Promise<PageKey[]> {
  return (await context.blocks()).flatMap(({ id, pages }) =>
    Array.from({ length: pages }, (_, pgoff) => pageKey(id, pgoff)),
  );
}

/** Throws unless these lanes together brought each of these pages, each of them once. */
function checkEachOnce(lanes: readonly Lane[], expected: readonly PageKey[]): void {
  const times = new Map<PageKey, number>();
  for (const key of lanes.flatMap(({ arrivals }) => arrivals)) times.set(key, (times.get(key) ?? 0) + 1);
  const missing = expected.filter((key) => !times.has(key));
  check(missing.length === 0, `${missing.length} pages never came: ${missing.slice(0, 5).join(' ')}`);
  const twice = [...times].filter(([, count]) => count > 1).map(([key]) => key);
  check(twice.length === 0, `${twice.length} pages came more than once: ${twice.slice(0, 5).join(' ')}`);
  const wanted = new Set(expected);
  const unwanted = [...times.keys()].filter((key) => !wanted.has(key));
  check(
    unwanted.length === 0,
    `${unwanted.length} pages came that must not: ${unwanted.slice(0, 5).join(' ')}`,
  );
}

/** Throws unless EOS came once, behind the lane's last page. */
function checkEos(lane: Lane): void {
  checkSame('EOS on the lane', lane.eosCount, 1);
  checkSame('pages before EOS', lane.pagesBeforeEos, lane.arrivals.length);
}

export const backgroundRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/background/everything',
    title: 'Background lanes bring every page once, byte for byte, and then EOS',
    from: BACKGROUND,
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const demand = await peer.open('demand');
      const { background_addresses: addresses } = peer.migration.target;
      const lanes = await Promise.all(
        [0, 1].map((index) =>
          peer.open('background', {
            address: addresses[index % addresses.length] ?? peer.migration.target.demand_address,
          }),
        ),
      );
      await Promise.all([demand, ...lanes].map((lane) => lane.eos()));
      checkEachOnce(lanes, await allPages(context));
      for (const lane of lanes) {
        checkEos(lane);
        await context.checkAllPages(lane);
      }
      checkSame('pages on the demand lane', demand.arrivals.length, 0);
      return lanes.map(({ arrivals }) => `${arrivals.length}`).join(' + ') + ' pages';
    },
  },
  {
    id: 'source/background/on-the-main-address',
    title: 'A background lane on the address of the demand lane is served like any other',
    from: 'page_source.proto, PageSource: any gRPC client may be the peer',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const lane = await peer.open('background', { address: peer.migration.target.demand_address });
      await lane.eos();
      checkEachOnce([lane], await allPages(context));
      checkEos(lane);
      await context.checkAllPages(lane);
    },
  },
  {
    id: 'source/background/received',
    title: 'Pages of the received bitmaps are not pushed; all others are',
    from: 'page_source.proto, Init.received',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const isReceived = (blockId: string, pgoff: number): boolean => (pgoff * 7 + blockId.length) % 3 !== 0;
      const received = await receivedWhere(context, isReceived);
      const lane = await peer.open('background', { received });
      await lane.eos();
      const blocks = await context.blocks();
      const expected = blocks.flatMap(({ id, pages }) =>
        Array.from({ length: pages }, (_, pgoff) => pgoff)
          .filter((pgoff) => !isReceived(id, pgoff))
          .map((pgoff) => pageKey(id, pgoff)),
      );
      checkEachOnce([lane], expected);
      await context.checkAllPages(lane);
    },
  },
  {
    id: 'source/background/demand-crosses',
    title: 'Pages that are demanded while background pushes come on the demand lane, pushed already or not',
    from: 'DESIGN §3: demand and background cross',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const { id, pages } = await context.largestBlock();
      const demand = await peer.open('demand');
      const background = await peer.open('background');
      const asked: number[] = [];
      for (let time = 0; background.eosCount === 0 || time < 20; time++) {
        const pgoff = (time * 997) % pages;
        asked.push(pgoff);
        await demand.barrier(id, pgoff);
      }
      await demand.eos();
      await context.checkPages(demand, id, asked);
      const union = new Set([...demand.arrivals, ...background.arrivals]);
      checkSame('pages that came', union.size, (await allPages(context)).length);
      checkEachOnce([background], [...new Set(background.arrivals)]);
      await context.checkAllPages(background);
      return `${asked.length} demanded, ${background.arrivals.length} pushed`;
    },
  },
  {
    id: 'source/background/removed-before',
    title: 'Pages that were removed before background lanes open are not pushed',
    from: 'page_source.proto, UmemRequest.remove',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const { id } = await context.largestBlock();
      const demand = await peer.open('demand');
      const removed = Array.from({ length: 500 }, (_, index) => 2 * index);
      demand.send({ remove: { block_id: id, pgoffs: removed } });
      await demand.barrier(id, 1);
      const background = await peer.open('background');
      await background.eos();
      const gone = new Set(removed.map((pgoff) => pageKey(id, pgoff)));
      gone.add(pageKey(id, 1));
      checkEachOnce(
        [background],
        (await allPages(context)).filter((key) => !gone.has(key)),
      );
    },
  },
  {
    id: 'source/background/removed-before-reconnect',
    title: 'Pages that were removed over an earlier connection are not pushed over the next one',
    from: 'page_source.proto, UmemRequest.remove: never send them',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const { id } = await context.largestBlock();
      const first = await peer.open('demand');
      const removed = Array.from({ length: 300 }, (_, index) => 3 * index);
      first.send({ remove: { block_id: id, pgoffs: removed } });
      await first.barrier(id, 1);
      const background = await peer.open('background', { generation: 2 });
      await background.eos();
      const gone = new Set(removed.map((pgoff) => pageKey(id, pgoff)));
      checkEachOnce(
        [background],
        (await allPages(context)).filter((key) => !gone.has(key)),
      );
    },
  },
  {
    id: 'source/background/remove-race',
    title:
      'REMOVE that races with background: each page comes once or was removed, never after the source knew, and EOS comes',
    from: 'page_source.proto, UmemRequest.remove and UmemReply.eos',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const { id, pages } = await context.largestBlock();
      const demand = await peer.open('demand');
      const background = await peer.open('background');
      const removed: number[] = [];
      for (let from = pages - 1; from > pages / 2; from -= 64) {
        const pgoffs = Array.from({ length: 32 }, (_, index) => from - index).filter((pgoff) => pgoff > 0);
        removed.push(...pgoffs);
        demand.send({ remove: { block_id: id, pgoffs } });
      }
      await demand.barrier(id, 0);
      await background.eos();
      const isRemoved = new Set(removed.map((pgoff) => pageKey(id, pgoff)));
      // What was on its way when the removals came may have arrived.
      const late = background.arrivals.filter((key) => isRemoved.has(key));
      check(
        late.length <= MAX_STUCK_PAGES,
        `${late.length} removed pages came, more than can have been on their way`,
      );
      const arrived = new Set([...background.arrivals, ...demand.arrivals]);
      const missing = (await allPages(context)).filter((key) => !arrived.has(key) && !isRemoved.has(key));
      checkSame('pages that neither came nor were removed', missing.length, 0);
      checkEachOnce([background], [...new Set(background.arrivals)]);
      await context.checkAllPages(background);
      return `${removed.length} removed, ${late.length} of them were on their way`;
    },
  },
  {
    id: 'source/background/stalled-lane',
    title:
      'A background lane that nobody reads holds few pages back; the other lanes of its page server get all others and EOS',
    from: 'DESIGN §3: background lanes stop claiming while the peer’s window is full',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const demand = await peer.open('demand');
      const stalled = new StalledLane(peer.migration.addressFor('background'), peer.token);
      await stalled.open(peer.init('background'));
      const { id, pages } = await context.largestBlock();
      await demand.pull(id, [pages - 1]);
      const { background_addresses: addresses } = peer.migration.target;
      const reading = await peer.open('background', {
        address: addresses[1] ?? addresses[0] ?? peer.migration.target.demand_address,
      });
      const all = await allPages(context);
      await reading.eos();
      const arrived = new Set([...reading.arrivals, ...demand.arrivals]);
      const stuck = all.filter((key) => !arrived.has(key));
      check(stuck.length <= MAX_STUCK_PAGES, `${stuck.length} pages wait for a lane that nobody reads`);
      // They can still be had: the demand lane sends them again.
      const wanted = stuck
        .filter((key) => key.startsWith(`${id}:`))
        .slice(0, 16)
        .map((key) => Number(key.slice(id.length + 1)));
      if (wanted.length > 0) {
        await demand.pull(id, wanted);
        await context.checkPages(demand, id, wanted);
      }
      await context.checkUndisturbed();
      stalled.close();
      return `${stuck.length} of ${all.length} pages waited`;
    },
  },
  {
    id: 'source/background/reconnect',
    title: 'After a reset in the middle of the push, a new connection’s bitmaps bring exactly the rest',
    from: 'page_source.proto, Init.received and generation',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const link = await BreakableLink.start(peer.migration.addressFor('background'));
      const all = await allPages(context);
      const got = new Set<PageKey>();
      try {
        for (const [index, share] of [4, 3, 2].entries()) {
          const received = await receivedWhere(context, (block, pgoff) => got.has(pageKey(block, pgoff)));
          const before = got.size;
          const lane = await peer.open('background', {
            address: link.address,
            generation: index + 1,
            received,
          });
          await lane.until(
            'a part of the pages',
            () => lane.arrivals.length > (all.length - before) / share || lane.eosCount > 0,
          );
          link.cut();
          await lane.ended;
          for (const key of lane.arrivals) {
            check(!got.has(key), `Page ${key} was received before and came again`);
            got.add(key);
          }
          await context.checkAllPages(lane);
        }
        const received = await receivedWhere(context, (block, pgoff) => got.has(pageKey(block, pgoff)));
        const last = await peer.open('background', { generation: 4, received });
        await last.eos();
        checkEachOnce(
          [last],
          all.filter((key) => !got.has(key)),
        );
        await context.checkAllPages(last);
        return `${last.arrivals.length} of ${all.length} pages over the last connection`;
      } finally {
        link.close();
      }
    },
  },
  {
    id: 'source/background/eoc-in-the-middle',
    title: 'EOC in the middle of the push ends all lanes with OK',
    from: 'page_source.proto, UmemRequest.eoc',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const lanes = [await peer.open('demand'), await peer.open('background')];
      await lanes[1]?.until('a first page', () => (lanes[1]?.arrivals.length ?? 0) > 0);
      for (const lane of lanes) void lane.finish();
      for (const lane of lanes) await checkEnds(lane, [Status.OK]);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/background/vanished',
    title: 'A page server that vanishes in the middle of the push disturbs nobody',
    from: 'page_source.proto, PageSource.Serve: lanes are independent',
    destructive: true,
    async run(context) {
      await context.activate();
      const peer = await context.peer();
      const lanes = [await peer.open('demand'), await peer.open('background')];
      await lanes[1]?.until('a first page', () => (lanes[1]?.arrivals.length ?? 0) > 0);
      for (const lane of lanes) lane.cancel();
      await context.checkUndisturbed();
    },
  },
];
