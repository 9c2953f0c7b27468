import { crc32 } from 'node:zlib';
import { status as Status } from '@grpc/grpc-js';
import { check, type Rule } from '../rule.js';
import { forEachSeed, type Random } from '../random.js';
import { pageKey, type PageKey } from '../source/lane.js';
import { GARBAGE } from '../wire/bad-messages.js';
import type { PlayedLane } from './played-lane.js';
import type { PlayedSet } from './played-set.js';
import type { UmemdContext } from './umemd-context.js';
import type { Vmm } from './vmm.js';

const STEPS = 120;

/** What kinds of steps are likely, in percent. */
const LIKELY = { touch: 40, pages: 35, remove: 15, eos: 3, rubbish: 3, lane: 2, link: 2 } as const;
const ZEROS = crc32(Buffer.alloc(4096));

/** Never sent, touched or given up before the end, so that the set cannot complete earlier. */
const LAST: PageKey = 'ram0:599';

/** One random history of a set, and a model of what its memory must hold because of it. */
class History {
  readonly #set: PlayedSet;
  readonly #random: Random;
  readonly #removed = new Set<PageKey>();
  readonly #touches: Promise<void>[] = [];
  readonly #vmms: Vmm[] = [];
  #lanes: PlayedLane[] = [];
  #eos = new Set<PlayedLane>();
  connections = 1;

  constructor(set: PlayedSet, random: Random) {
    this.#set = set;
    this.#random = random;
  }

  /** `processes`: on the set's RAM files. */
  async run(processes: number): Promise<void> {
    await this.#set.park();
    this.#vmms.push(this.#set.vmm);
    while (this.#vmms.length < processes) {
      const other = await this.#set.startOther();
      await this.#set.handOverOther(other);
      this.#vmms.push(other);
    }
    await this.#set.arm();
    const { demand, background } = await this.#set.lanes(1);
    this.#lanes = [demand, ...background];
    for (let step = 0; step < STEPS; step++) await this.#step();
    await Promise.all(this.#touches);
    const lane = this.#lanes.at(-1);
    check(lane !== undefined, 'The set has no lane');
    await this.#set.push(lane, this.#removed);
    await this.#set.release();
    for (const vmm of this.#vmms) await this.#set.checkMemory(this.#removed, vmm);
  }

  /** Sending fails when umemd has just ended the lane; then the next step finds the next connection. */
  async #step(): Promise<void> {
    const kind = this.#kind();
    if (this.#lanes.some(({ isOver }) => isOver)) await this.#reconnected();
    const lane = this.#random.pick(this.#lanes);
    const [id, pgoffs] = this.#pages(40);
    if (kind === 'touch') this.#touch(id, this.#random.pick(pgoffs));
    else if (kind === 'pages') await lane.pages(id, pgoffs).catch(() => undefined);
    else if (kind === 'remove') await this.#remove(id, pgoffs.slice(0, 6));
    else if (kind === 'eos') await this.#sendEos(lane);
    else if (kind === 'rubbish') await this.#sendRubbish(lane, id, pgoffs);
    else if (kind === 'lane') await this.#loseLane(lane);
    else await this.#loseLink();
  }

  #kind(): string {
    let dice = this.#random.below(100);
    for (const [kind, percent] of Object.entries(LIKELY)) {
      if (dice < percent) return kind;
      dice -= percent;
    }
    return 'touch';
  }

  #pages(most: number): readonly [string, number[]] {
    const id = this.#random.pick([...this.#set.ram.blocks.keys()]);
    const last = id === 'ram0' ? 1 : 0;
    return [id, this.#random.run(this.#set.ram.pageCount(id) - last, most)];
  }

  #touch(id: string, pgoff: number): void {
    const key = pageKey(id, pgoff);
    const touched = this.#random
      .pick(this.#vmms)
      .read(id, pgoff)
      .then((crc) => {
        const isRight = crc === this.#set.ram.crc(id, pgoff) || (crc === ZEROS && this.#removed.has(key));
        check(isRight, `The guest reads other bytes of page ${key} than it should`);
      });
    // What is wrong is told when all are awaited.
    touched.catch(() => undefined);
    this.#touches.push(touched);
  }

  async #remove(id: string, pgoffs: readonly number[]): Promise<void> {
    const [first = 0] = pgoffs;
    for (const pgoff of pgoffs) this.#removed.add(pageKey(id, pgoff));
    await this.#random.pick(this.#vmms).remove(id, first, pgoffs.length);
  }

  async #sendEos(lane: PlayedLane): Promise<void> {
    // After EOS on every lane umemd may ask for all that is missing, and the set would complete early.
    if (this.#eos.has(lane) || this.#eos.size === this.#lanes.length - 1) return;
    this.#eos.add(lane);
    await lane.eos().catch(() => undefined);
  }

  /** Nothing of it may be placed. */
  async #sendRubbish(lane: PlayedLane, id: string, [pgoff = 0]: readonly number[]): Promise<void> {
    const fill = { page_count: 1, encoding: 'PAGE_ENCODING_FILL', fill_value: 0xee };
    const batch = {
      pages: {
        block_id: id,
        runs: [
          { ...fill, pgoff },
          { ...fill, pgoff },
        ],
      },
    };
    await lane.send(this.#random.once(2) ? batch : GARBAGE).catch(() => undefined);
    await lane.changes.until('umemd to end the lane', () => lane.isOver || null);
    await this.#reconnected();
  }

  async #loseLane(lane: PlayedLane): Promise<void> {
    lane.fail(Status.UNAVAILABLE, 'The suite has ended this lane');
    await this.#reconnected();
  }

  async #loseLink(): Promise<void> {
    this.#set.source.kill();
    await this.#set.source.start();
    await this.#reconnected();
  }

  async #reconnected(): Promise<void> {
    const generation = Math.max(...this.#lanes.map(({ init }) => Number(init.generation)));
    const { demand, background } = await this.#set.lanesAfter(generation);
    this.#lanes = [demand, ...background];
    this.#eos = new Set();
    this.connections++;
  }
}

const KINDS = [
  { kind: 'copy', placement: 'PLACEMENT_COPY', processes: 1 },
  { kind: 'cache', placement: 'PLACEMENT_CACHE', processes: 2 },
] as const;

export const randomRules: readonly Rule<UmemdContext>[] = KINDS.map(({ kind, placement, processes }) => {
  const id = `umemd/random/${kind}`;
  return {
    id,
    title: `Random interleavings of faults, pushes, removals, EOS, rubbish and losses leave exactly the right memory (${placement}, processes: ${processes})`,
    from: 'DESIGN §7: the guest never sees a wrong byte',
    run: (context) =>
      forEachSeed(context.seeds, id, async (random) => {
        const sizes = { ram0: 600, ram1: 253 };
        const set = await context.set({ sizes, placement, backgroundLanes: 2 });
        const history = new History(set, random);
        await history.run(processes);
        check(
          !set.source.lanes.some(({ demanded }) => demanded.includes(LAST)),
          `${LAST} was demanded, and nobody touched it`,
        );
        await context.checkUndisturbed();
        return `${STEPS} steps, ${history.connections} connections`;
      }),
  };
});
