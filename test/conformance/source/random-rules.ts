import { check, type Rule } from '../rule.js';
import { forEachSeed, type Random } from '../random.js';
import { BreakableLink } from '../wire/breakable-link.js';
import { pageKey, type Lane, type PageKey } from './lane.js';
import type { Peer } from './peer.js';
import { receivedWhere } from './received-rules.js';
import type { SourceContext } from './source-context.js';

const CONNECTIONS = 6;
const STEPS = 20;

/** One random history of a page server, and a model of which pages it must have because of it. */
class History {
  readonly #context: SourceContext;
  readonly #peer: Peer;
  readonly #random: Random;
  readonly #link: BreakableLink;
  readonly #removed = new Set<PageKey>();
  readonly #received = new Set<PageKey>();

  constructor(context: SourceContext, peer: Peer, random: Random, link: BreakableLink) {
    this.#context = context;
    this.#peer = peer;
    this.#random = random;
    this.#link = link;
  }

  async run(): Promise<string> {
    for (let generation = 1; generation < CONNECTIONS; generation++) await this.#connect(generation, false);
    await this.#connect(CONNECTIONS, true);
    const missing: string[] = [];
    for (const { id, pages } of await this.#context.blocks())
      for (let pgoff = 0; pgoff < pages; pgoff++) {
        const key = pageKey(id, pgoff);
        if (!this.#received.has(key) && !this.#removed.has(key)) missing.push(key);
      }
    check(missing.length === 0, `${missing.length} pages never came: ${missing.slice(0, 5).join(' ')}`);
    return `${this.#received.size} pages came, ${this.#removed.size} were removed`;
  }

  /** One connection: its lanes, some steps, and its end. */
  async #connect(generation: number, isLast: boolean): Promise<void> {
    const received = await receivedWhere(this.#context, (id, pgoff) =>
      this.#received.has(pageKey(id, pgoff)),
    );
    const before = new Set(this.#received);
    const removedBefore = new Set(this.#removed);
    const options = { generation, received };
    const demand = await this.#peer.open('demand', options);
    const background = await this.#peer.open('background', { ...options, address: this.#link.address });
    for (let step = 0; step < STEPS; step++) await this.#step(demand);
    await this.#settle(demand);
    if (isLast) await Promise.all([demand.eos(), background.eos()]);
    else if (this.#random.once(2)) this.#link.cut();
    else background.cancel();
    if (!isLast) {
      await background.ended;
      demand.cancel();
      await demand.ended;
    }
    this.#checkBackground(background, before, removedBefore);
    for (const lane of [demand, background]) {
      await this.#context.checkAllPages(lane);
      for (const key of lane.pages.keys()) this.#received.add(key);
    }
  }

  /** Waits until the source has handled every request, so that no removal is lost with the lane. */
  async #settle(demand: Lane): Promise<void> {
    const { id, pages } = await this.#context.largestBlock();
    const pgoff = Array.from({ length: pages }, (_, index) => index).find(
      (page) => !this.#removed.has(pageKey(id, page)),
    );
    if (pgoff !== undefined) await demand.barrier(id, pgoff);
  }

  async #step(demand: Lane): Promise<void> {
    const { id, pages } = this.#random.pick(await this.#context.blocks());
    const pgoffs = this.#random.run(pages, 60);
    if (this.#random.once(3)) {
      for (const pgoff of pgoffs) this.#removed.add(pageKey(id, pgoff));
      demand.send({ remove: { block_id: id, pgoffs } });
    } else {
      // Pages that were removed before do not come.
      demand.send({ on_demand: { block_id: id, pgoffs } });
      const wanted = pgoffs.filter((pgoff) => !this.#removed.has(pageKey(id, pgoff)));
      await demand.until('the pages', () => wanted.every((pgoff) => demand.pages.has(pageKey(id, pgoff))));
    }
  }

  #checkBackground(lane: Lane, received: ReadonlySet<PageKey>, removed: ReadonlySet<PageKey>): void {
    const seen = new Set<PageKey>();
    for (const key of lane.arrivals) {
      check(!seen.has(key), `Page ${key} was pushed twice over one connection`);
      check(!received.has(key), `Page ${key} was received before and pushed again`);
      check(!removed.has(key), `Page ${key} was removed over an earlier connection and pushed`);
      seen.add(key);
    }
  }
}

const ID = 'source/random/interleavings';

export const randomRules: readonly Rule<SourceContext>[] = [
  {
    id: ID,
    title:
      'Random interleavings of demand, background, removals and losses bring every page that was not removed, byte for byte',
    from: 'page_source.proto, PageSource.Serve',
    destructive: true,
    async run(context) {
      await context.activate();
      return forEachSeed(context.seeds, ID, async (random) => {
        const peer = await context.peer();
        const link = await BreakableLink.start(peer.migration.addressFor('background'));
        try {
          return await new History(context, peer, random, link).run();
        } finally {
          link.close();
        }
      });
    },
  },
];
