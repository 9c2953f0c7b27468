import { native, NativeError, type NativeUserfaultfd } from '@umem/native';
import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import { FaultReader, type FaultListener } from '../fault/fault-reader.js';
import { RegionMap, type Region } from '../handoff/region-map.js';
import type { PlacingGate } from '../place/placing-gate.js';
import { probeVmm } from '../place/vmm-probe.js';
import { readMappings } from './process-maps.js';

export interface GuestViewSettings {
  readonly uffd: NativeUserfaultfd;
  /** Of the userfaultfd in the set. */
  readonly number: number;
  readonly regions: readonly Region[];
  readonly pid: number;
  /** The RAM file; null when none came. */
  readonly ramFd: number | null;
  /** A child of a process that handed over. */
  readonly isChild: boolean;
  readonly gate: PlacingGate;
  readonly listener: FaultListener;
}

/** What one process handed over: a userfaultfd and its regions. Main event loop only. */
export class GuestView {
  readonly uffd: NativeUserfaultfd;
  readonly map: RegionMap;
  readonly reader: FaultReader;
  readonly pid: number;
  readonly ramFd: number | null;
  readonly isChild: boolean;
  #gone = false;

  constructor({ uffd, number, regions, pid, ramFd, isChild, gate, listener }: GuestViewSettings) {
    this.uffd = uffd;
    this.map = new RegionMap(regions);
    this.reader = new FaultReader(uffd, number, listener, gate);
    this.pid = pid;
    this.ramFd = ramFd;
    this.isChild = isChild;
  }

  /** Its process has exited, as far as was looked. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Looks whether its process has exited, and reads nothing more when it has. */
  checkGone(): boolean {
    if (this.#gone) return true;
    if (probeVmm(this.uffd) !== 'gone') return false;
    this.#gone = true;
    this.reader.stop();
    return true;
  }

  /** True while a thread of the process waits until an event is read. */
  isChanging(): boolean {
    return !this.#gone && probeVmm(this.uffd) === 'changing';
  }

  /** Wakes who waits for these pages. */
  wake(blockId: string, range: PageRange): void {
    if (this.#gone) return;
    for (const { hostAddress, pageCount } of this.map.placements(blockId, range).placements)
      this.uffd.wake(hostAddress, pageCount * TARGET_PAGE_SIZE);
  }

  /** Makes what the process still has mapped of its regions plain. Throws NativeError when it has exited. */
  unregister(): void {
    for (const { hostAddress, pageCount } of this.map.regions) {
      const end = hostAddress + BigInt(pageCount) * BigInt(TARGET_PAGE_SIZE);
      try {
        this.#unregister(hostAddress, end);
      } catch (error) {
        if (!isInvalid(error)) throw error;
        this.#unregisterMapped(hostAddress, end);
      }
    }
  }

  /** Whether its memory is shared with children of the process; when that cannot be known, it counts as shared. */
  sharesRam(): boolean {
    const [region] = this.map.regions;
    if (!region) return false;
    const address = region.hostAddress;
    const mapping = readMappings(this.pid)?.find(({ start, end }) => start <= address && address < end);
    return mapping?.isShared ?? true;
  }

  /** Once only. What is registered stays so as long as the process holds its own descriptor. */
  close(): void {
    this.reader.stop();
    this.uffd.close();
    if (this.ramFd !== null) native.closeFd(this.ramFd);
  }

  /**
   * The kernel refuses a range (EINVAL) in which nothing is mapped, or also something that cannot be
   * registered: the process has let go of guest RAM, which our preload library does not ask to be told, and
   * may have mapped other things there. What is left is made plain piece by piece; a range that stays
   * registered would hold a thread of the process for ever at its next MADV_REMOVE.
   */
  #unregisterMapped(start: bigint, end: bigint): void {
    for (const mapping of readMappings(this.pid) ?? []) {
      const first = mapping.start > start ? mapping.start : start;
      const last = mapping.end < end ? mapping.end : end;
      if (first >= last) continue;
      try {
        this.#unregister(first, last);
      } catch (error) {
        // It is something else that was mapped there, or gone since we looked.
        if (!isInvalid(error)) throw error;
      }
    }
  }

  #unregister(start: bigint, end: bigint): void {
    this.uffd.unregister(start, Number(end - start));
  }
}

function isInvalid(error: unknown): boolean {
  return error instanceof NativeError && error.errnoName === 'EINVAL';
}
