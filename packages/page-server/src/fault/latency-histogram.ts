import type { LatencyHistogram as LatencyHistogramMessage } from '@umem/api';

/** Sub-buckets per power of two: quantiles are at most 1/16 too high. */
const SUB_BUCKETS = 16;
const SUB_BITS = 4;
/** Longest that is told apart: 2^42 µs, 50 days. */
const MAX_POWER = 42;

/**
 * How long something took, in microseconds, many times over; constant size. Exact below 16 µs, then in
 * sixteenths of each power of two.
 */
export class LatencyHistogram {
  readonly #buckets = new Float64Array((MAX_POWER - SUB_BITS + 1) * SUB_BUCKETS + SUB_BUCKETS);
  #count = 0;
  #sumUs = 0;
  #maxUs = 0;

  add(durationUs: number): void {
    const us = Math.max(0, Math.floor(durationUs));
    const index = Math.min(indexOf(us), this.#buckets.length - 1);
    this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    this.#count++;
    this.#sumUs += us;
    if (us > this.#maxUs) this.#maxUs = us;
  }

  /** Duration that the share `q` (0 to 1) of all does not exceed, in microseconds; 0 when there are none. */
  quantile(q: number): number {
    const rank = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let i = 0; i < this.#buckets.length; i++) {
      seen += this.#buckets[i] ?? 0;
      if (seen >= rank) return Math.min(upperBound(i) - 1, this.#maxUs);
    }
    return this.#maxUs;
  }

  toMessage(): LatencyHistogramMessage {
    return {
      count: BigInt(this.#count),
      sumUs: BigInt(this.#sumUs),
      p50Us: BigInt(this.quantile(0.5)),
      p99Us: BigInt(this.quantile(0.99)),
      maxUs: BigInt(this.#maxUs),
      powerOfTwoBuckets: this.#powersOfTwo(),
    };
  }

  #powersOfTwo(): bigint[] {
    const powers: bigint[] = [];
    this.#buckets.forEach((count, i) => {
      if (count === 0) return;
      const power = bitLength(lowerBound(i));
      while (powers.length <= power) powers.push(0n);
      powers[power] = (powers[power] ?? 0n) + BigInt(count);
    });
    return powers;
  }
}

/** Bits of a non-negative integer: 2^(n-1) <= us < 2^n. */
function bitLength(us: number): number {
  return us === 0 ? 0 : Math.floor(Math.log2(us)) + 1;
}

function indexOf(us: number): number {
  if (us < SUB_BUCKETS) return us;
  const power = Math.floor(Math.log2(us));
  const sub = Math.floor(us / 2 ** (power - SUB_BITS)) - SUB_BUCKETS;
  return (power - SUB_BITS + 1) * SUB_BUCKETS + sub;
}

function lowerBound(index: number): number {
  if (index < SUB_BUCKETS) return index;
  const power = Math.floor(index / SUB_BUCKETS) - 1;
  return (SUB_BUCKETS + (index % SUB_BUCKETS)) * 2 ** power;
}

function upperBound(index: number): number {
  return lowerBound(index + 1);
}
