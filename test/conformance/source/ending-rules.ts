import { status as Status } from '@grpc/grpc-js';
import { check, checkSame, type Rule } from '../rule.js';
import { untilTrue } from '../waits.js';
import { BreakableLink } from '../wire/breakable-link.js';
import { MAX_PGOFFS } from '../wire/read-batch.js';
import { describe, pageKey } from './lane.js';
import { receivedWhere } from './received-rules.js';
import { checkEnds, type SourceContext } from './source-context.js';
import { StalledLane } from './stalled-lane.js';

const SERVE = 'page_source.proto, PageSource.Serve';
const EOC = 'page_source.proto, UmemRequest.eoc';

/** Looks, 20 ms apart, after which what has not moved counts as still. */
const STILL_LOOKS = 20;

/** 0, 1, … wrapped into a block. */
function manyOf(pages: number): number[] {
  return Array.from({ length: MAX_PGOFFS }, (_, index) => index % pages);
}

export const endingRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/end/half-close',
    title: 'A half-closed lane still brings what was asked for, and then ends with OK',
    from: SERVE,
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id, pages } = await context.largestBlock();
      // More than can be on its way at once.
      const pgoffs = [...new Set(manyOf(pages))];
      lane.send({ on_demand: { block_id: id, pgoffs } });
      lane.halfClose();
      await checkEnds(lane, [Status.OK]);
      await context.checkPages(lane, id, pgoffs);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/end/cancelled-mid-reply',
    title: 'A lane that is cancelled in the middle of a reply disturbs nobody; its page server comes back',
    from: `${SERVE}: lanes are independent`,
    async run(context) {
      const peer = await context.peer();
      const { id, pages } = await context.largestBlock();
      for (let time = 0; time < 5; time++) {
        const lane = await peer.open('demand', { generation: time + 1 });
        lane.send({ on_demand: { block_id: id, pgoffs: manyOf(pages) } });
        await lane.until('a first page', () => lane.arrivals.length > 0);
        lane.cancel();
      }
      await context.checkUndisturbed();
      const last = await peer.open('demand', { generation: 6 });
      await last.pull(id, [60]);
      await context.checkPages(last, id, [60]);
    },
  },
  {
    id: 'source/end/connection-dropped',
    title: 'A page server whose connection is reset in the middle of a reply disturbs nobody and comes back',
    from: `${SERVE}: lanes are independent`,
    async run(context) {
      const peer = await context.peer();
      const { id, pages } = await context.largestBlock();
      const link = await BreakableLink.start(peer.migration.target.demand_address);
      try {
        const lane = await peer.open('demand', { address: link.address });
        lane.send({ on_demand: { block_id: id, pgoffs: manyOf(pages) } });
        await lane.until('a first page', () => lane.arrivals.length > 0);
        link.cut();
        check((await lane.ended).code !== Status.OK, 'A lane whose connection was reset has ended with OK');
        await context.checkUndisturbed();
        const next = await peer.open('demand', { generation: 2 });
        await next.pull(id, [60]);
        await context.checkPages(next, id, [60]);
      } finally {
        link.close();
      }
    },
  },
  {
    id: 'source/end/place-is-free',
    title: 'When a page server’s demand lane is gone, the next one of the same connection is welcome',
    from: `${SERVE}: at most one demand lane`,
    async run(context) {
      const peer = await context.peer();
      const { id } = await context.largestBlock();
      const first = await peer.open('demand');
      await first.pull(id, [1]);
      first.cancel();
      // The source learns of the end a moment later than we do.
      await untilTrue('the demand lane’s place to be free', async () => {
        const lane = peer.dial();
        lane.send(peer.init('demand'));
        const refusal = await lane.accepted;
        if (refusal !== null)
          check(refusal.code === Status.RESOURCE_EXHAUSTED, `Refused with ${describe(refusal)}`);
        return refusal === null;
      });
    },
  },
  {
    id: 'source/end/stops-reading',
    title:
      'A page server that asks and asks but reads nothing is held back: the source takes no request without end',
    from: 'DESIGN §3: nothing queues without bound',
    async run(context) {
      const peer = await context.peer();
      const { id, pages } = await context.largestBlock();
      const stalled = new StalledLane(peer.migration.target.demand_address, peer.token);
      await stalled.open(peer.init('demand'));
      const request = { on_demand: { block_id: id, pgoffs: manyOf(pages) } };
      // 128 GiB of pages.
      const total = 8192;
      let taken = 0;
      const pushing = (async () => {
        for (; taken < total; taken++) await stalled.send(request);
      })();
      // The lane's end, which we bring about, is no failure.
      pushing.catch(() => undefined);
      let before = -1;
      let looksWithout = 0;
      await untilTrue('the source to take no more', async () => {
        looksWithout = taken === before ? looksWithout + 1 : 0;
        before = taken;
        await context.checkUndisturbed();
        return looksWithout >= STILL_LOOKS || taken === total;
      });
      stalled.close();
      check(
        taken < total,
        `All ${total} requests for ${total * MAX_PGOFFS} pages were taken while no page was read`,
      );
      await context.checkUndisturbed();
      return `${taken} requests of ${MAX_PGOFFS} pages were taken`;
    },
  },
  {
    id: 'source/end/eoc-after-eos',
    title: 'EOC after EOS ends the lane with OK, also when this side stays open',
    from: EOC,
    async run(context) {
      const peer = await context.peer();
      const lane = await peer.open('demand', { received: await receivedWhere(context, () => true) });
      await lane.eos();
      lane.send({ eoc: {} });
      await checkEnds(lane, [Status.OK]);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/end/eoc-before-eos',
    title: 'EOC before EOS ends the lanes with OK: the destination needs nothing more',
    from: EOC,
    async run(context) {
      const peer = await context.peer();
      const demand = await peer.open('demand');
      const background = await peer.open('background');
      const { id } = await context.largestBlock();
      await demand.pull(id, [0]);
      for (const lane of [demand, background]) {
        lane.send({ eoc: {} });
        lane.halfClose();
      }
      for (const lane of [demand, background]) await checkEnds(lane, [Status.OK]);
      checkSame('pages after EOC', demand.arrivals.length, 1);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/end/eoc-with-requests-waiting',
    title: 'EOC behind thousands of requests ends the lane with OK and bounded work',
    from: EOC,
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id, pages } = await context.largestBlock();
      for (let time = 0; time < 4; time++) lane.send({ on_demand: { block_id: id, pgoffs: manyOf(pages) } });
      lane.send({ eoc: {} });
      lane.halfClose();
      await checkEnds(lane, [Status.OK]);
      await context.checkAllPages(lane);
      const known = lane.arrivals.every((key) => key.startsWith(pageKey(id, 0).slice(0, -1)));
      check(known, 'Pages came that were not asked for');
    },
  },
];
