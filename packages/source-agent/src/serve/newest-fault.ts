import type { PageRange } from '@umem/ram';

/** A page of some block. */
export interface FaultedPage {
  readonly block: number;
  readonly pgoff: PageRange['pgoff'];
}

const PGOFF_BITS = 32n;
const NONE = -1n;

/** The page that was demanded last, told by the demand lane to background lanes on other threads. */
export class NewestFault {
  readonly #value: BigInt64Array;

  /** `share`: of another thread's. */
  constructor(readonly share: SharedArrayBuffer = createShare()) {
    this.#value = new BigInt64Array(share);
  }

  set({ block, pgoff }: FaultedPage): void {
    Atomics.store(this.#value, 0, (BigInt(block) << PGOFF_BITS) | BigInt(pgoff));
  }

  /** Null before the first fault. */
  get(): FaultedPage | null {
    const value = Atomics.load(this.#value, 0);
    if (value === NONE) return null;
    return { block: Number(value >> PGOFF_BITS), pgoff: Number(BigInt.asUintN(32, value)) };
  }
}

function createShare(): SharedArrayBuffer {
  const share = new SharedArrayBuffer(8);
  new BigInt64Array(share)[0] = NONE;
  return share;
}
