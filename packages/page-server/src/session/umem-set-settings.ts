import type { Logger } from '@umem/daemon';
import type { RamBlock } from '@umem/ram';

export interface UmemSetSettings {
  readonly name: string;
  readonly blocks: readonly RamBlock[];
  /** User id of the VMM, when it is another than ours. */
  readonly vmmUserId: number | undefined;
  /** Pages are placed in the RAM files, for all processes that map them. */
  readonly cache: boolean;
  /** The VMM side is asked to touch placed pages; only with `cache`. */
  readonly touch: boolean;
  readonly stateDir: string;
  readonly log: Logger;
  readonly timing: UmemTiming;
}

/** Times in milliseconds, and one count. */
export interface UmemTiming {
  readonly connectTimeoutMs: number;
  readonly maxReconnectDelayMs: number;
  readonly maxRefusals: number;
  readonly handoffTimeoutMs: number;
  readonly quitTimeoutMs: number;
}
