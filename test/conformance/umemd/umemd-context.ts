import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Seeds } from '../random.js';
import { check, checkSame } from '../rule.js';
import { WireClient } from '../wire/client.js';
import { buildVmm } from './build-vmm.js';
import { PlayedSet, type SetOptions } from './played-set.js';
import type { UmemdTarget } from './umemd-target.js';

/** What rules of umemd work with: umem sets of their own, and one that must never notice them. */
export class UmemdContext {
  readonly client: WireClient;
  readonly seeds: Seeds;
  readonly #target: UmemdTarget;
  readonly #dir: string;
  readonly #program: string;
  readonly #sets: PlayedSet[] = [];
  #bystander: PlayedSet | null = null;
  #bystanderPage = 0;
  #count = 0;

  private constructor(target: UmemdTarget, seeds: Seeds, dir: string, program: string) {
    this.client = new WireClient(target.address);
    this.seeds = seeds;
    this.#target = target;
    this.#dir = dir;
    this.#program = program;
  }

  static async open(target: UmemdTarget, seeds: Seeds): Promise<UmemdContext> {
    const dir = await mkdtemp('/dev/shm/umem-conformance-');
    return new UmemdContext(target, seeds, dir, await buildVmm(dir));
  }

  /** A folder on hugetlbfs with this many huge pages free. Throws NotApplicable where there is none. */
  hugePages(pages: number): Promise<string> {
    return this.#target.hugePages(pages);
  }

  /** A umem set of which nothing exists yet. */
  async set(options: SetOptions = {}): Promise<PlayedSet> {
    const set = await this.#newSet(options);
    this.#sets.push(set);
    return set;
  }

  /** Throws unless another set is served as if nothing had happened. */
  async checkUndisturbed(): Promise<void> {
    if (this.#bystander === null) {
      this.#bystander = await this.#newSet({ sizes: { ram0: 4096 } });
      await this.#bystander.armed();
    }
    await this.#bystander.touch('ram0', this.#bystanderPage++);
    checkSame(
      'connections of another set',
      Math.max(...this.#bystander.source.lanes.map(({ init }) => Number(init.generation))),
      1,
    );
    check(
      this.#bystander.source.lanes.every(({ isOver }) => !isOver),
      'A lane of another set has ended',
    );
  }

  /** Holds what every rule holds, and lets the rule's sets go. */
  async endRule(): Promise<void> {
    const sets = this.#sets.splice(0);
    try {
      for (const { source, confirmsPlaced } of sets) source.checkRequests(confirmsPlaced);
    } finally {
      for (const set of sets) await set.close();
    }
  }

  async close(): Promise<void> {
    // Those of a rule that did not come to its end.
    for (const set of this.#sets.splice(0)) await set.close();
    await this.#bystander?.close();
    this.client.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #newSet(options: SetOptions): Promise<PlayedSet> {
    const name = `conformance-${process.pid}-${++this.#count}`;
    const dir = join(this.#dir, name);
    await mkdir(dir);
    return new PlayedSet({ client: this.client, program: this.#program, dir, name }, options);
  }
}
