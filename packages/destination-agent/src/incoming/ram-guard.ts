import { setTimeout as delay } from 'node:timers/promises';
import { HostPrecondition } from '@umem/errors';
import type { UmemLink } from '../page-server/umem-link.js';
import type { RamFile } from '../ram/ram-files.js';
import { UnservedMappings, type UnservedProcess } from './unserved-mappings.js';

/** Shortest time between looks at a running guest, in milliseconds. */
const INTERVAL_MS = 500;
/** The time between looks is at least so many times what a look takes: a host may have many processes. */
const IDLE_FACTOR = 20;
/** What a mapping that is just being made, or a child about to run another program, may take. */
const CONFIRM_MS = 100;

/** What the guard needs of an incoming VM. */
export interface GuardedRam {
  readonly ram: { readonly files: readonly Pick<RamFile, 'block' | 'path'>[] };
  /** Processes that map the files for other reasons than to use them. */
  readonly pageServerPids: ReadonlySet<number>;
  readonly link: Pick<UmemLink, 'isArriving'>;
}

/**
 * Watches that everybody who touches the RAM files of an incoming VM waits for pages. A vhost-user back end
 * maps guest RAM when the VMM starts its device, that is when the guest runs; one without our preload library
 * reads zeros for pages that have not arrived.
 */
export class RamGuard {
  readonly #vm: string;
  readonly #guarded: GuardedRam;
  readonly #failed: (error: unknown) => void;
  readonly #mappings: UnservedMappings;
  #stopping: AbortController | null = null;
  #hasFailed = false;

  /** `failed`: told once when a look fails. */
  constructor(vm: string, guarded: GuardedRam, failed: (error: unknown) => void) {
    this.#vm = vm;
    this.#guarded = guarded;
    this.#failed = failed;
    this.#mappings = new UnservedMappings((pid) => guarded.pageServerPids.has(pid));
  }

  /** Rejects with HostPrecondition when somebody has touched RAM that is not served. */
  async check(): Promise<void> {
    const found = await this.#look();
    if (found) throw new HostPrecondition(this.#describe(found), { reason: 'RAM_NOT_HANDED_OVER' });
  }

  /** Looks at once and from then on, until `stop` or until it has found somebody. Idempotent. */
  start(onFound: (message: string) => void): void {
    if (this.#stopping) return;
    this.#stopping = new AbortController();
    void this.#watch(this.#stopping.signal, onFound);
  }

  /** Idempotent; nothing is found any more after it. */
  stop(): void {
    this.#stopping ??= new AbortController();
    this.#stopping.abort();
  }

  async #watch(signal: AbortSignal, onFound: (message: string) => void): Promise<void> {
    while (!signal.aborted) {
      const startedAtMs = performance.now();
      const found = await this.#look();
      if (signal.aborted) return;
      if (found) return onFound(this.#describe(found));
      const tookMs = performance.now() - startedAtMs;
      await delay(Math.max(INTERVAL_MS, tookMs * IDLE_FACTOR), undefined, { ref: false });
    }
  }

  async #look(): Promise<UnservedProcess | null> {
    const { ram, link } = this.#guarded;
    const files = ram.files.map(({ block: { blockId }, path }) => ({ blockId, path }));
    try {
      const first = await this.#mappings.find(files);
      if (!first) return null;
      await delay(CONFIRM_MS, undefined, { ref: false });
      const again = await this.#mappings.find(files);
      const isSame = again?.pid === first.pid && again.address === first.address;
      // Asked last: once all pages are there nothing is served any more, and nothing need be.
      return isSame && (await link.isArriving()) ? again : null;
    } catch (error) {
      if (!this.#hasFailed) this.#failed(error);
      this.#hasFailed = true;
      return null;
    }
  }

  #describe({ pid, name, blockId }: UnservedProcess): string {
    return `Process ${pid} (${name}) uses RAM block "${blockId}" of "${this.#vm}" without having handed its mapping over, so it reads zeros for pages that have not arrived: start it with the environment of the VMM (LD_PRELOAD, UMEM_RAM, UMEM_HANDOFF) and use placement cache`;
  }
}
