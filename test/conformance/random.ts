import { randomInt } from 'node:crypto';

/** A sequence of numbers that a seed decides (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(list: readonly T[]): T {
    const found = list[this.below(list.length)];
    if (found === undefined) throw new RangeError('Nothing to pick from');
    return found;
  }

  /** Consecutive pages of a block, at most `most`. */
  run(pageCount: number, most: number): number[] {
    const first = this.below(pageCount);
    const count = 1 + this.below(Math.min(most, pageCount - first));
    return Array.from({ length: count }, (_, index) => first + index);
  }
}

/** The seeds that every rule with random histories tries, one after the other. */
export type Seeds = readonly number[];

/** The one that was chosen; else one that is always the same, and a new one. */
export function chooseSeeds(chosen: number | null): Seeds {
  return chosen === null ? [1, randomInt(2, 2 ** 32)] : [chosen];
}

/** Tries one history for each seed. Throws with the seed of one that fails, and how to have it again. */
export async function forEachSeed(
  seeds: Seeds,
  rule: string,
  run: (random: Random) => Promise<string>,
): Promise<string> {
  const told: string[] = [];
  for (const seed of seeds) {
    try {
      told.push(`seed ${seed}: ${await run(new Random(seed))}`);
    } catch (cause) {
      const words = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`Seed ${seed}: ${words}. Once more: --only ${rule} --seed ${seed}`, { cause });
    }
  }
  return told.join('; ');
}
