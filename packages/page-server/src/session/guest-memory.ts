import { setImmediate } from 'node:timers/promises';
import { HostPrecondition } from '@umem/errors';
import { native, type NativeUserfaultfd } from '@umem/native';
import { pagesIn, TARGET_PAGE_SIZE, type PageRange, type RamBlock } from '@umem/ram';
import type { FaultMaps } from '../fault/fault-handler.js';
import type { FaultListener } from '../fault/fault-reader.js';
import type { WaitedFor } from '../fault/fault-table.js';
import { RegionMap, type Region } from '../handoff/region-map.js';
import { forgetPlaced, OwnMapping } from '../place/own-mapping.js';
import type { PlaceTarget } from '../place/placer.js';
import type { PlacingGate } from '../place/placing-gate.js';
import { GuestView } from './guest-view.js';

export interface GuestMemorySettings {
  readonly blocks: readonly RamBlock[];
  /** Pages are placed through mappings of our own. */
  readonly cache: boolean;
  readonly gate: PlacingGate;
  /** Where pages are placed has changed: other threads must be told. */
  targetChanged(): void;
}

/** Regions and userfaultfds to place through, for another thread; the descriptors are its own. */
export interface DuplicatedTarget {
  readonly regions: readonly Region[];
  readonly uffds: readonly number[];
  /** The mapping is ours, and its page tables need not remember. */
  readonly forget: boolean;
}

/**
 * What VMMs handed over: regions and descriptors. With placement COPY, pages are placed through the VMM's own
 * userfaultfd; with CACHE, through mappings of the RAM files here, and any number of processes may hand the
 * same pages over. Main event loop only.
 */
export class GuestMemory implements FaultMaps {
  readonly #settings: GuestMemorySettings;
  /** By the number of the userfaultfd. */
  readonly #views: GuestView[] = [];
  readonly #own = new Map<string, OwnMapping>();
  readonly #placing = new RegionMap();
  readonly #placingUffds: NativeUserfaultfd[] = [];
  #listener: FaultListener | null = null;
  #paused = false;
  #closed = false;

  constructor(settings: GuestMemorySettings) {
    this.#settings = settings;
  }

  /** Where this thread places. */
  get target(): PlaceTarget {
    return { map: this.#placing, uffds: this.#placingUffds, afterPlacing: this.#afterPlacing };
  }

  /** Regions against which a handoff must not overlap. */
  get known(): RegionMap {
    return this.#settings.cache ? new RegionMap() : this.#placing;
  }

  /** The number that the next userfaultfd gets. */
  get nextUffd(): number {
    return this.#views.length;
  }

  get isEmpty(): boolean {
    return this.#views.length === 0;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Takes over what one handoff brought and reads its events from now on. Throws HostPrecondition or InvalidArgument. */
  add(
    regions: readonly Region[],
    uffd: NativeUserfaultfd,
    ramFd: number | null,
    pid: number,
    listener: FaultListener,
  ): void {
    this.#listener = listener;
    if (this.#settings.cache) this.#mapOwn(regions, ramFd);
    this.#addView(regions, uffd, ramFd, pid, false);
    if (!this.#settings.cache) for (const region of regions) this.#placing.add(region);
  }

  /** True when every page of the block has a host address in some process that lives. */
  isCovered(block: RamBlock): boolean {
    const ranges = this.#views
      .filter(({ gone }) => !gone)
      .flatMap(({ map }) => map.regions.filter(({ blockId }) => blockId === block.blockId))
      .sort((a, b) => a.pgoff - b.pgoff);
    let end = 0;
    for (const { pgoff, pageCount } of ranges) if (pgoff <= end) end = Math.max(end, pgoff + pageCount);
    return end === pagesIn(block);
  }

  toPage(uffd: number, address: bigint): WaitedFor | null {
    return this.#views[uffd]?.map.toPage(uffd, address) ?? null;
  }

  toRanges(uffd: number, start: bigint, end: bigint): { blockId: string; range: PageRange }[] {
    return this.#views[uffd]?.map.toRanges(uffd, start, end) ?? [];
  }

  unmap(uffd: number, start: bigint, end: bigint): { blockId: string; range: PageRange }[] | null {
    const cut = this.#views[uffd]?.map.cut(uffd, start, end) ?? [];
    if (cut.length === 0) return null;
    if (!this.#settings.cache) this.#placing.cut(uffd, start, end);
    this.#settings.targetChanged();
    return cut.flatMap(({ blockId, pgoff, pageCount }) =>
      this.#unplaceable(blockId, { pgoff, pageCount }).map((range) => ({ blockId, range })),
    );
  }

  move(uffd: number, from: bigint, to: bigint, lengthBytes: bigint): void {
    const maps = [this.#views[uffd]?.map, this.#settings.cache ? undefined : this.#placing];
    for (const map of maps)
      for (const region of map?.cut(uffd, from, from + lengthBytes) ?? [])
        map?.add({ ...region, hostAddress: region.hostAddress - from + to });
    this.#settings.targetChanged();
  }

  /**
   * A child that shares the RAM would fill it with zeros were its faults not served. One that has its own copy
   * of the RAM is not the guest: its userfaultfd is closed, and it reads zeros for what was missing.
   */
  fork(uffd: number, childUffd: number): boolean {
    const parent = this.#views[uffd];
    if (!parent?.sharesRam()) {
      native.closeFd(childUffd);
      return false;
    }
    const number = this.nextUffd;
    const regions = parent.map.regions.map((region) => ({ ...region, uffd: number }));
    this.#addView(regions, native.adoptUserfaultfd(childUffd), null, parent.pid, true);
    return true;
  }

  /** Wakes whoever waits for pages that are there, in all processes. */
  wake(blockId: string, range: PageRange): void {
    if (this.#closed) return;
    for (const view of this.#views) view.wake(blockId, range);
  }

  /** True when placing wakes everybody by itself. */
  get wakesByPlacing(): boolean {
    return !this.#settings.cache && this.#views.every(({ isChild }) => !isChild);
  }

  /** Leaves events unread (true) or reads them again (false). */
  pause(paused: boolean): void {
    this.#paused = paused;
    if (this.#closed) return;
    for (const { reader, gone } of this.#views) {
      if (paused || gone) reader.stop();
      else reader.start();
    }
  }

  /** Reads what is pending at once, paused or not. */
  drainEvents(): void {
    if (this.#closed) return;
    for (const { reader, gone } of this.#views) if (!gone) reader.drain();
    this.pause(this.#paused);
  }

  /** What another thread needs to place too. */
  duplicateTarget(): DuplicatedTarget {
    const uffds = this.#placingUffds.map(({ fd }) => native.dupFd(fd));
    return { regions: this.#placing.regions, uffds, forget: this.#afterPlacing !== null };
  }

  /** Drops processes that have exited; true when memory of the VMM is gone with one, or was let go already. */
  isVmmGone(): boolean {
    if (this.#closed) return true;
    let lost = false;
    for (const view of this.#views) {
      if (view.gone || !view.checkGone()) continue;
      lost ||= !view.isChild;
    }
    if (!this.#settings.cache) return lost || this.#views.some(({ gone, isChild }) => gone && !isChild);
    return (
      this.#views.some(({ gone }) => gone) && !this.#settings.blocks.every((each) => this.isCovered(each))
    );
  }

  /** The RAM files that came with handoffs, each with a process that maps it. */
  ramFiles(): { fd: number; pid: number }[] {
    return this.#views.flatMap(({ ramFd, pid }) => (ramFd === null ? [] : [{ fd: ramFd, pid }]));
  }

  /**
   * Makes the memory plain: waiters wake, and pages that are missing read as zeros from now on. Resolves
   * when no event can come any more; one that nobody reads would hold a thread of the VMM for ever.
   * Throws HostPrecondition when the VMM has exited.
   */
  async unregister(): Promise<void> {
    if (this.isVmmGone()) throw vmmGone();
    for (const view of this.#views) {
      if (view.gone) continue;
      try {
        view.unregister();
      } catch (error) {
        if (this.isVmmGone()) throw vmmGone();
        // A second process that went away meanwhile has no memory to be made plain.
        if (!view.gone) throw error;
      }
    }
    this.drainEvents();
    while (!this.#closed && this.#views.some((view) => view.isChanging())) {
      await setImmediate();
      this.drainEvents();
    }
  }

  /** Closes all descriptors. What is still registered stays so as long as the VMM holds its own. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const view of this.#views) view.close();
    for (const mapping of this.#own.values()) mapping.close();
  }

  get #afterPlacing(): PlaceTarget['afterPlacing'] {
    const { cache, blocks } = this.#settings;
    const small = blocks.every(({ hostPageSizeBytes }) => hostPageSizeBytes <= TARGET_PAGE_SIZE);
    return cache && small ? forgetPlaced : null;
  }

  #addView(
    regions: readonly Region[],
    uffd: NativeUserfaultfd,
    ramFd: number | null,
    pid: number,
    isChild: boolean,
  ): void {
    const { cache, gate } = this.#settings;
    if (!this.#listener) throw new RangeError('A view needs somebody who listens');
    const view = new GuestView({
      uffd,
      number: this.nextUffd,
      regions,
      pid,
      ramFd,
      isChild,
      gate,
      listener: this.#listener,
    });
    this.#views.push(view);
    if (!cache) this.#placingUffds.push(uffd);
    if (!this.#paused) view.reader.start();
  }

  /** One mapping for each block that is new. */
  #mapOwn(regions: readonly Region[], ramFd: number | null): void {
    if (ramFd === null)
      throw new HostPrecondition(
        'Placement CACHE needs the descriptor of the RAM file in the handoff, as our preload library sends it: use it, or placement COPY',
      );
    for (const blockId of new Set(regions.map((region) => region.blockId))) {
      const block = this.#settings.blocks.find((each) => each.blockId === blockId);
      const known = this.#own.get(blockId);
      if (known) known.requireSameFile(ramFd);
      else if (block) {
        const mapping = new OwnMapping(block, ramFd, this.#placingUffds.length);
        this.#own.set(blockId, mapping);
        this.#placingUffds.push(mapping.uffd);
        this.#placing.add(mapping.region);
        this.#settings.targetChanged();
      }
    }
  }

  /** Pages that can be placed nowhere, or that nobody can touch. */
  #unplaceable(blockId: string, range: PageRange): PageRange[] {
    if (!this.#settings.cache) return [range];
    let missing: PageRange[] = [range];
    for (const { map, gone } of this.#views)
      if (!gone) missing = missing.flatMap((each) => [...map.placements(blockId, each).unmapped]);
    return missing;
  }
}

export function vmmGone(): HostPrecondition {
  return new HostPrecondition('The VMM has exited, or its guest RAM is not mapped any more', {
    reason: 'VMM_GONE',
  });
}
