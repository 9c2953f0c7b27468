import { check, checkSame, NotApplicable, type Rule } from '../rule.js';
import { methodOf } from '../wire/definitions.js';
import { MAX_PGOFFS } from '../wire/read-batch.js';
import { withUnknownField } from '../wire/unknown-field.js';
import { pageKey } from './lane.js';
import { Peer } from './peer.js';
import type { SourceContext } from './source-context.js';

const REQUEST = 'page_source.proto, UmemRequest';

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

export const servingRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/serve/every-page',
    title:
      'Every page of every block comes on demand, byte for byte as the source has it, in batches that keep the rules',
    from: 'page_source.proto, PageBatch and PageRun',
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      let pages = 0;
      for (const block of await context.blocks()) {
        for (let at = 0; at < block.pages; at += MAX_PGOFFS) {
          const pgoffs = range(at, Math.min(MAX_PGOFFS, block.pages - at));
          await lane.pull(block.id, pgoffs);
          await context.checkPages(lane, block.id, pgoffs);
          pages += pgoffs.length;
        }
      }
      return `${pages} pages`;
    },
  },
  {
    id: 'source/serve/scattered',
    title: 'First, last and scattered pages of each block, in any order',
    from: `${REQUEST}.on_demand: in the order wanted`,
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      for (const { id, pages } of await context.blocks()) {
        const pgoffs = [
          ...new Set(
            [pages - 1, 0, pages >> 1, (pages >> 1) - 2, 1].filter((pgoff) => pgoff >= 0 && pgoff < pages),
          ),
        ];
        await lane.pull(id, pgoffs);
        await context.checkPages(lane, id, pgoffs);
      }
    },
  },
  {
    id: 'source/serve/nothing-unasked',
    title: 'A demand lane brings what was asked for and nothing else',
    from: 'page_source.proto, LANE_KIND_DEMAND',
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id } = await context.largestBlock();
      const asked = [5, 600, 601, 7];
      for (const pgoff of asked) await lane.pull(id, [pgoff]);
      checkSame('pages that came', lane.arrivals.length, asked.length);
    },
  },
  {
    id: 'source/serve/again',
    title: 'A page that is demanded again is sent again: it may have been late on another lane',
    from: 'DESIGN §3: demand and background cross',
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id } = await context.largestBlock();
      for (let time = 1; time <= 3; time++) {
        await lane.barrier(id, 5);
        await context.checkPages(lane, id, [5]);
      }
      checkSame('times it came', lane.arrivals.length, 3);
    },
  },
  {
    id: 'source/serve/repeated-in-one-list',
    title: 'A page that one list names twice is served, and the lane goes on',
    from: `${REQUEST}.on_demand`,
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id } = await context.largestBlock();
      await lane.pull(id, [9, 8, 9, 9]);
      await lane.barrier(id, 10);
      await context.checkPages(lane, id, [8, 9, 10]);
    },
  },
  {
    id: 'source/serve/4063',
    title: '4063 pages in one message, and 4063 more in its continuation, are served',
    from: 'page_source.proto, PageList.pgoffs: 1 to 4063',
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id, pages } = await context.largestBlock();
      const first = range(0, MAX_PGOFFS).map((pgoff) => pgoff % pages);
      const second = range(MAX_PGOFFS, MAX_PGOFFS).map((pgoff) => pgoff % pages);
      lane.send({ on_demand: { block_id: id, pgoffs: first } });
      lane.send({ on_demand_cont: { pgoffs: second } });
      const wanted = [...new Set([...first, ...second])];
      await lane.until('all pages', () => wanted.every((pgoff) => lane.pages.has(pageKey(id, pgoff))));
      await context.checkPages(lane, id, wanted);
    },
  },
  {
    id: 'source/serve/continuations',
    title: 'Each _CONT continues the block of the command before it, any number of times and block by block',
    from: `${REQUEST}.on_demand_cont, background_cont`,
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const blocks = await context.blocks();
      const [a, b] = [blocks[0], blocks.at(-1)];
      check(a !== undefined && b !== undefined, 'The VM has no RAM block');
      lane.send({ on_demand: { block_id: a.id, pgoffs: [10] } });
      lane.send({ on_demand_cont: { pgoffs: [12, 11] } });
      lane.send({ on_demand_cont: { pgoffs: [13] } });
      lane.send({ background: { block_id: b.id, pgoffs: [20] } });
      lane.send({ background_cont: { pgoffs: [21] } });
      lane.send({ background_cont: { pgoffs: [23, 22] } });
      lane.send({ on_demand: { block_id: b.id, pgoffs: [30] } });
      lane.send({ on_demand_cont: { pgoffs: [31] } });
      const wanted = { [a.id]: [10, 11, 12, 13], [b.id]: [20, 21, 22, 23, 30, 31] };
      if (a.id === b.id) wanted[a.id] = [10, 11, 12, 13, 20, 21, 22, 23, 30, 31];
      for (const [id, pgoffs] of Object.entries(wanted)) {
        await lane.until(`pages of ${id}`, () => pgoffs.every((pgoff) => lane.pages.has(pageKey(id, pgoff))));
        await context.checkPages(lane, id, pgoffs);
      }
      checkSame('pages that came', lane.arrivals.length, Object.values(wanted).flat().length);
    },
  },
  {
    id: 'source/serve/background-command',
    title: 'BACKGROUND is served on a background lane',
    from: `${REQUEST}.background`,
    async run(context) {
      const lane = await (await context.peer()).open('background');
      const { id } = await context.largestBlock();
      const pgoffs = [100, 102, 101];
      lane.send({ background: { block_id: id, pgoffs } });
      await lane.until('the pages', () => pgoffs.every((pgoff) => lane.pages.has(pageKey(id, pgoff))));
      await context.checkPages(lane, id, pgoffs);
    },
  },
  {
    id: 'source/serve/unknown-field',
    title: 'A field that the source does not know, in a command that it knows, is ignored',
    from: 'protocol.md, Compatibility: ignore fields that you do not know',
    async run(context) {
      const lane = await (await context.peer()).open('demand');
      const { id } = await context.largestBlock();
      const { requestSerialize } = methodOf('PageSource', 'Serve');
      lane.send(withUnknownField(requestSerialize({ on_demand: { block_id: id, pgoffs: [15] } })));
      await lane.until('the page', () => lane.pages.has(pageKey(id, 15)));
      await context.checkPages(lane, id, [15]);
    },
  },
  {
    id: 'source/serve/huge-block',
    title: 'A block on huge pages of 2 MiB is served, and given up, in target pages of 4096 bytes',
    from: 'ram.proto, RamBlock.host_page_size_bytes; protocol.md, Host pages',
    async run(context) {
      const peer = await context.peer();
      const block = peer.migration.blocks.find(({ host_page_size_bytes: size }) => Number(size) === 2 << 20);
      if (block === undefined) throw new NotApplicable('The VM has no block on huge pages of 2 MiB');
      const id = block.block_id;
      const lane = await peer.open('demand');
      lane.send({ remove: { block_id: id, pgoffs: [101] } });
      lane.send({ on_demand: { block_id: id, pgoffs: [511, 100, 101, 102, 0, 7] } });
      await lane.barrier(id, 300);
      checkSame('pages that came', lane.arrivals.length, 6);
      await context.checkPages(lane, id, [0, 7, 100, 102, 300, 511]);
    },
  },
  {
    id: 'source/serve/demand-first',
    title: 'Demand overtakes background, and the rate limit holds background only',
    from: 'page_source.proto, LANE_KIND_DEMAND: never rate-limited, never behind background pages',
    async run(context) {
      // At a byte a second, a page that is held to the rate does not come while anybody waits for it.
      const migration = await context.begin({ max_bandwidth_bytes_per_second: '1' });
      const peer = new Peer(migration, migration.target.token);
      try {
        await migration.freeze();
        const lane = await peer.open('demand');
        const [block] = [...migration.pageCounts].sort(([, a], [, b]) => b - a);
        if (block === undefined) throw new NotApplicable('The VM has no RAM block');
        const [id, pages] = block;
        const demanded = range(pages - 40, 40).filter((pgoff) => pgoff >= 0);
        const background = range(0, Math.max(0, Math.min(1024, pages - 40)));
        lane.send({ background: { block_id: id, pgoffs: background } });
        for (const pgoff of demanded) await lane.pull(id, [pgoff]);
        const pushed = background.filter((pgoff) => lane.pages.has(pageKey(id, pgoff))).length;
        check(pushed < background.length, `All ${pushed} background pages came before the demanded ones`);
        return `${demanded.length} on demand, meanwhile ${pushed} in the background`;
      } finally {
        peer.close();
        await migration.cancel();
      }
    },
  },
];
