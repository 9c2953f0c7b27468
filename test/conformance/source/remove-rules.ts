import { check, checkSame, type Rule } from '../rule.js';
import { MAX_PGOFFS } from '../wire/read-batch.js';
import { pageKey, type Lane } from './lane.js';
import { receivedWhere } from './received-rules.js';
import type { SourceContext } from './source-context.js';

const REMOVE = 'page_source.proto, UmemRequest.remove: never send them';

function checkNone(lane: Lane, blockId: string, pgoffs: readonly number[]): void {
  const came = pgoffs.filter((pgoff) => lane.pages.has(pageKey(blockId, pgoff)));
  check(came.length === 0, `Removed pages came: ${came.slice(0, 8).join(' ')}`);
}

export const removeRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/remove/on-demand',
    title: 'A removed page is not sent, not even on demand; its neighbours are',
    from: REMOVE,
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id } = await context.largestBlock();
      const removed = [201, 203];
      lane.send({ remove: { block_id: id, pgoffs: removed } });
      lane.send({ on_demand: { block_id: id, pgoffs: [200, 201, 202, 203, 204] } });
      lane.send({ on_demand: { block_id: id, pgoffs: removed } });
      await lane.barrier(id, 210);
      await context.checkPages(lane, id, [200, 202, 204]);
      checkNone(lane, id, removed);
    },
  },
  {
    id: 'source/remove/background-command',
    title: 'A removed page is not sent by BACKGROUND either, nor over another lane of the page server',
    from: REMOVE,
    async run(context) {
      const peer = await context.peer();
      const demand = await peer.open('demand');
      const background = await peer.open('background');
      const { id } = await context.largestBlock();
      demand.send({ remove: { block_id: id, pgoffs: [301] } });
      await demand.barrier(id, 310);
      background.send({ background: { block_id: id, pgoffs: [300, 301, 302] } });
      await background.until('its neighbours', () =>
        [300, 302].every((pgoff) => background.pages.has(pageKey(id, pgoff))),
      );
      background.send({ background: { block_id: id, pgoffs: [303] } });
      await background.until('a later page', () => background.pages.has(pageKey(id, 303)));
      checkNone(background, id, [301]);
    },
  },
  {
    id: 'source/remove/after-sent',
    title: 'A page that was sent and then removed is not sent again',
    from: REMOVE,
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id } = await context.largestBlock();
      await lane.pull(id, [401]);
      lane.pages.clear();
      lane.send({ remove: { block_id: id, pgoffs: [401, 401] } });
      lane.send({ on_demand: { block_id: id, pgoffs: [401] } });
      await lane.barrier(id, 402);
      checkNone(lane, id, [401]);
    },
  },
  {
    id: 'source/remove/survives-reconnect',
    title: 'A removed page stays removed over a new connection',
    from: REMOVE,
    async run(context) {
      const peer = await context.peer();
      const { id } = await context.largestBlock();
      const first = await peer.open('demand');
      first.send({ remove: { block_id: id, pgoffs: [501] } });
      await first.barrier(id, 502);
      const second = await peer.open('demand', { generation: 2 });
      second.send({ on_demand: { block_id: id, pgoffs: [501] } });
      await second.barrier(id, 503);
      checkNone(second, id, [501]);
    },
  },
  {
    id: 'source/remove/of-one-peer',
    title: 'What one page server removes, another one still gets',
    from: 'page_source.proto, PageSource.Serve: lanes are independent',
    async run(context) {
      const [a, b] = [await context.peer(), await context.peer()];
      const { id } = await context.largestBlock();
      const lane = await a.open('demand');
      lane.send({ remove: { block_id: id, pgoffs: [601] } });
      await lane.barrier(id, 602);
      const other = await b.open('demand');
      await other.pull(id, [601]);
      await context.checkPages(other, id, [601]);
    },
  },
  {
    id: 'source/remove/everything',
    title: 'When every page was removed, EOS comes and no page does',
    from: 'page_source.proto, UmemReply.eos: sent, removed or received before',
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      for (const { id, pages } of await context.blocks())
        for (let at = 0; at < pages; at += MAX_PGOFFS)
          lane.send({
            remove: {
              block_id: id,
              pgoffs: Array.from({ length: Math.min(MAX_PGOFFS, pages - at) }, (_, index) => at + index),
            },
          });
      await lane.eos();
      checkSame('pages that came', lane.arrivals.length, 0);
      checkSame('EOS that came', lane.eosCount, 1);
    },
  },
  {
    id: 'source/remove/last-page',
    title: 'EOS comes when the last missing page is removed instead of sent',
    from: 'page_source.proto, UmemReply.eos',
    async run(context) {
      const { id } = await context.largestBlock();
      const received = await receivedWhere(context, (block, pgoff) => block !== id || pgoff > 1);
      const lane = await (await context.peer()).open('demand', { received });
      await lane.pull(id, [0]);
      checkSame('EOS before the last page', lane.eosCount, 0);
      lane.send({ remove: { block_id: id, pgoffs: [1] } });
      await lane.eos();
      checkNone(lane, id, [1]);
    },
  },
];
