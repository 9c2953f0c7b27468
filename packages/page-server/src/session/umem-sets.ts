import type { Logger } from '@umem/daemon';
import {
  AlreadyExists,
  HostPrecondition,
  InvalidArgument,
  messageOf,
  NotFound,
  Overloaded,
} from '@umem/errors';
import { native } from '@umem/native';
import { formatBytes, isName, NAME_RULE, TARGET_PAGE_SIZE, type RamBlock } from '@umem/ram';
import { events } from '../events.js';
import type { UmemSetSettings, UmemTiming } from './umem-set-settings.js';
import { UmemSet } from './umem-set.js';

/** How a set's pages are placed, and for whom. */
export type PlacingOptions = Pick<UmemSetSettings, 'vmmUserId' | 'cache' | 'touch'>;

export interface UmemSetsSettings {
  readonly stateDir: string;
  readonly log: Logger;
  /** Sets at a time, not counting released ones. */
  readonly maxUmems: number;
  /** Bytes of all sets together, not counting released ones. */
  readonly maxRamBytes: number;
  /** Released sets that are kept for a look. */
  readonly maxReleased: number;
  readonly timing: UmemTiming;
}

/** All umem sets of this page server, by name. Main event loop only. */
export class UmemSets {
  readonly #settings: UmemSetsSettings;
  readonly #sets = new Map<string, UmemSet>();

  constructor(settings: UmemSetsSettings) {
    this.#settings = settings;
  }

  /** Ordered by name. */
  list(): UmemSet[] {
    return [...this.#sets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Throws NotFound. */
  get(name: string): UmemSet {
    const set = this.#sets.get(name);
    if (!set) throw new NotFound(`There is no umem ${JSON.stringify(name)} here`);
    return set;
  }

  /** See Umemd.CreateUmem. A released set gives its name up to a new one. */
  create(name: string, blocks: readonly RamBlock[], placing: PlacingOptions): UmemSet {
    if (!isName(name))
      throw new InvalidArgument(`Umem name ${JSON.stringify(name)} is not valid: use ${NAME_RULE}`);
    const taken = this.#sets.get(name);
    if (taken && taken.state !== 'RELEASED')
      throw new AlreadyExists(`Umem ${name} exists and is ${taken.state}`);
    checkBlocks(blocks);
    checkHost();
    this.#checkLimits(blocks);
    const { stateDir, log, timing } = this.#settings;
    const set = new UmemSet({ name, blocks, ...placing, stateDir, log, timing });
    this.#sets.delete(name);
    this.#sets.set(name, set);
    log.event(events.umemCreated, { umem: name, blocks, ...placing });
    this.#forgetReleased();
    return set;
  }

  /** See Umemd.DeleteUmem. */
  async delete(name: string, guestNeverRan: boolean): Promise<void> {
    const set = this.get(name);
    await set.delete(guestNeverRan);
    // Another call may have deleted it meanwhile, and a new set may have the name.
    if (this.#sets.get(name) !== set) return;
    this.#sets.delete(name);
    this.#settings.log.event(events.umemDeleted, { umem: name, state: set.state });
  }

  /** The page server goes away. */
  stop(): void {
    for (const set of this.#sets.values()) set.stop();
  }

  #checkLimits(blocks: readonly RamBlock[]): void {
    const { maxUmems, maxRamBytes } = this.#settings;
    const inUse = [...this.#sets.values()].filter((set) => set.state !== 'RELEASED');
    if (inUse.length >= maxUmems)
      throw new Overloaded(
        `${inUse.length} umems exist and --max-umems is ${maxUmems}: wait, delete one or raise it`,
      );
    const asked = bytesOf(blocks);
    const used = inUse.reduce((sum, { memory }) => sum + memory.totalPages * TARGET_PAGE_SIZE, 0);
    if (used + asked > maxRamBytes)
      throw new Overloaded(
        `${formatBytes(asked)} more than the ${formatBytes(used)} of the umems that exist is above --max-ram ${formatBytes(maxRamBytes)}`,
      );
  }

  /** Lets the oldest released sets go. */
  #forgetReleased(): void {
    const released = [...this.#sets.values()].filter((set) => set.state === 'RELEASED');
    const excess = released.length - this.#settings.maxReleased;
    for (const set of released.slice(0, Math.max(0, excess))) this.#sets.delete(set.name);
  }
}

/** Why userfaultfd cannot be used on this host and what to do; null when it can. */
export function findUserfaultfdProblem(): string | null {
  let probe;
  try {
    probe = native.probeUserfaultfd();
  } catch (error) {
    return `userfaultfd cannot be used here: ${messageOf(error)}. Boot Linux 5.6 or newer; in a container its seccomp profile must allow ioctl(2) on a userfaultfd`;
  }
  const { route, syscallErrno, deviceErrno } = probe;
  if (route !== null) return null;
  return `userfaultfd cannot be used here: the system call failed with errno ${syscallErrno}, /dev/userfaultfd with errno ${deviceErrno}. Grant CAP_SYS_PTRACE, set vm.unprivileged_userfaultfd=1 or give access to /dev/userfaultfd`;
}

/** Sizes of host pages that are served: normal ones, and huge pages that are put together in memory first. */
const HOST_PAGE_SIZES = [TARGET_PAGE_SIZE, 2 << 20];

function checkBlocks(blocks: readonly RamBlock[]): void {
  for (const { blockId, hostPageSizeBytes } of blocks)
    if (!HOST_PAGE_SIZES.includes(hostPageSizeBytes))
      throw new HostPrecondition(
        `RAM block "${blockId}" has host pages of ${hostPageSizeBytes} bytes and only ${HOST_PAGE_SIZES.join(' and ')} are served: back it with those`,
      );
}

function checkHost(): void {
  const problem = findUserfaultfdProblem();
  if (problem) throw new HostPrecondition(problem, { reason: 'USERFAULTFD_UNAVAILABLE' });
}

function bytesOf(blocks: readonly RamBlock[]): number {
  return blocks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
