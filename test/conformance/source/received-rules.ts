import { status as Status } from '@grpc/grpc-js';
import { check, checkSame, type Rule } from '../rule.js';
import type { PageBitmapMessage } from '../wire/messages.js';
import { toBits } from '../wire/page-bits.js';
import { checkEnds, type SourceContext } from './source-context.js';

const { ABORTED } = Status;
const INIT = 'page_source.proto, Init';

/** A received bitmap of every block. */
export async function receivedWhere(
  context: SourceContext,
  has: (blockId: string, pgoff: number) => boolean,
): Promise<PageBitmapMessage[]> {
  const blocks = await context.blocks();
  return blocks.map(({ id, pages }) => ({ block_id: id, bits: toBits(pages, (pgoff) => has(id, pgoff)) }));
}

export const receivedRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/received/all',
    title: 'A lane whose received bitmaps are full gets EOS at once and no page',
    from: `${INIT}.received and UmemReply.eos`,
    async run(context) {
      const peer = await context.peer();
      const lane = await peer.open('background', { received: await receivedWhere(context, () => true) });
      await lane.eos();
      checkSame('pages that came', lane.arrivals.length, 0);
    },
  },
  {
    id: 'source/received/on-demand',
    title: 'Pages that were received before come again on demand, after EOS too',
    from: `${INIT}.received: only on demand; UmemReply.eos: demand requests are still answered`,
    async run(context) {
      const peer = await context.peer();
      const lane = await peer.open('demand', { received: await receivedWhere(context, () => true) });
      await lane.eos();
      const { id } = await context.largestBlock();
      await lane.pull(id, [40, 41]);
      await context.checkPages(lane, id, [40, 41]);
      await lane.barrier(id, 42);
      checkSame('EOS that came', lane.eosCount, 1);
    },
  },
  {
    id: 'source/received/rest',
    title: 'EOS comes when the pages that were not received have been demanded, once',
    from: 'page_source.proto, UmemReply.eos: sent, removed or received before',
    async run(context) {
      const peer = await context.peer();
      const { id } = await context.largestBlock();
      const missing = [3, 50, 51];
      const received = await receivedWhere(
        context,
        (block, pgoff) => block !== id || !missing.includes(pgoff),
      );
      const lane = await peer.open('demand', { received });
      await lane.pull(id, missing.slice(1));
      checkSame('EOS before the last page', lane.eosCount, 0);
      await lane.pull(id, missing.slice(0, 1));
      await lane.eos();
      await lane.barrier(id, 51);
      checkSame('EOS that came', lane.eosCount, 1);
      await context.checkPages(lane, id, missing);
    },
  },
  {
    id: 'source/received/unlisted-block',
    title: 'A block without a received bitmap counts as having no page',
    from: `${INIT}.received: a block that is not listed has none`,
    async run(context) {
      const peer = await context.peer();
      const { id, pages } = await context.largestBlock();
      const received = (await receivedWhere(context, () => true)).filter(
        ({ block_id: block }) => block !== id,
      );
      const lane = await peer.open('demand', { received });
      await lane.pull(id, [0]);
      checkSame('EOS with pages left', lane.eosCount, 0);
      for (let at = 1; at < pages; at += 4000)
        await lane.pull(
          id,
          Array.from({ length: Math.min(4000, pages - at) }, (_, index) => at + index),
        );
      await lane.eos();
    },
  },
  {
    id: 'source/generation/shared',
    title: 'Lanes of one connection share their generation',
    from: `${INIT}.generation`,
    async run(context) {
      const peer = await context.peer();
      const demand = await peer.open('demand', { generation: 3 });
      await peer.open('background', { generation: 3 });
      await demand.barrier((await context.largestBlock()).id, 1);
    },
  },
  {
    id: 'source/generation/newer-ends-older',
    title: 'INIT with a higher generation ends the lanes of the connection before it with ABORTED',
    from: `${INIT}.generation and PageSource.Serve: ABORTED`,
    async run(context) {
      const peer = await context.peer();
      const { id } = await context.largestBlock();
      const old = [await peer.open('demand'), await peer.open('background')];
      const next = await peer.open('demand', { generation: 2 });
      for (const lane of old) await checkEnds(lane, [ABORTED]);
      await next.pull(id, [1]);
      await context.checkPages(next, id, [1]);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/generation/stale',
    title: 'INIT with a lower generation than the newest is refused with ABORTED; the newest goes on',
    from: 'page_source.proto, PageSource.Serve: ABORTED',
    async run(context) {
      const peer = await context.peer();
      const newest = await peer.open('demand', { generation: 5 });
      for (const kind of ['demand', 'background'] as const) {
        const stale = peer.dial(kind);
        stale.send(peer.init(kind, { generation: 4 }));
        await checkEnds(stale, [ABORTED]);
      }
      await newest.barrier((await context.largestBlock()).id, 1);
    },
  },
  {
    id: 'source/generation/stale-after-loss',
    title: 'A lower generation stays stale when the newer lanes are gone',
    from: 'page_source.proto, PageSource.Serve: ABORTED',
    async run(context) {
      const peer = await context.peer();
      const newest = await peer.open('demand', { generation: 5 });
      newest.cancel();
      await newest.ended;
      const stale = peer.dial();
      stale.send(peer.init('demand', { generation: 4 }));
      await checkEnds(stale, [ABORTED]);
    },
  },
  {
    id: 'source/generation/of-another-peer',
    title: 'A page server’s generation says nothing about another page server’s lanes',
    from: `${INIT}.generation: this page server's connections`,
    async run(context) {
      const [a, b] = [await context.peer(), await context.peer()];
      const { id } = await context.largestBlock();
      const lane = await a.open('demand', { generation: 1 });
      await b.open('demand', { generation: 9 });
      await lane.barrier(id, 1);
      check(lane.status === null, 'The other page server’s lane has ended');
    },
  },
  {
    id: 'source/generation/sent-again',
    title: 'A new connection’s bitmaps decide: what was sent before but not received is sent again',
    from: `${INIT}.received`,
    async run(context) {
      const peer = await context.peer();
      const { id } = await context.largestBlock();
      const lost = [70, 71, 72];
      const received = await receivedWhere(context, (block, pgoff) => block !== id || !lost.includes(pgoff));
      const first = await peer.open('demand', { received });
      await first.pull(id, lost);
      await first.eos();
      const second = await peer.open('demand', { generation: 2, received });
      checkSame('EOS before the pages came again', second.eosCount, 0);
      await second.pull(id, lost);
      await second.eos();
      await context.checkPages(second, id, lost);
    },
  },
];
