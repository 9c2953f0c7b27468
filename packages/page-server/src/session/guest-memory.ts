import { setImmediate } from 'node:timers/promises';
import { HostPrecondition } from '@umem/errors';
import { native, type NativeUserfaultfd } from '@umem/native';
import { TARGET_PAGE_SIZE } from '@umem/ram';
import { FaultReader, type FaultListener } from '../fault/fault-reader.js';
import { RegionMap, type Region } from '../handoff/region-map.js';
import { probeVmm } from '../place/vmm-probe.js';

/** What a VMM handed over: its regions and descriptors. Main event loop only. */
export class GuestMemory {
  readonly map = new RegionMap();
  readonly uffds: NativeUserfaultfd[] = [];
  readonly #readers: FaultReader[] = [];
  readonly #ramFds: number[] = [];
  #paused = false;
  #closed = false;

  /** Takes over what one handoff brought and reads its events from now on. */
  add(
    regions: readonly Region[],
    uffd: NativeUserfaultfd,
    ramFd: number | null,
    listener: FaultListener,
  ): void {
    for (const region of regions) this.map.add(region);
    const reader = new FaultReader(uffd, this.uffds.length, listener);
    this.uffds.push(uffd);
    this.#readers.push(reader);
    if (ramFd !== null) this.#ramFds.push(ramFd);
    if (!this.#paused) reader.start();
  }

  /** Leaves events unread (true) or reads them again (false). */
  pause(paused: boolean): void {
    this.#paused = paused;
    if (this.#closed) return;
    for (const reader of this.#readers) {
      if (paused) reader.stop();
      else reader.start();
    }
  }

  /** Reads what is pending at once, paused or not. */
  drainEvents(): void {
    if (this.#closed) return;
    for (const reader of this.#readers) reader.drain();
    this.pause(this.#paused);
  }

  /** Duplicates of the userfaultfds, for a thread that adopts them. */
  duplicateUffds(): number[] {
    return this.uffds.map(({ fd }) => native.dupFd(fd));
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** True when a VMM that handed over has exited, or descriptors are closed already. */
  isVmmGone(): boolean {
    return this.#closed || this.uffds.some((uffd) => probeVmm(uffd) === 'gone');
  }

  /**
   * Makes the memory plain: waiters wake, and pages that are missing read as zeros from now on. Resolves
   * when no event can come any more; one that nobody reads would hold a thread of the VMM for ever.
   * Throws HostPrecondition when the VMM has exited.
   */
  async unregister(): Promise<void> {
    if (this.isVmmGone()) throw vmmGone();
    try {
      for (const { uffd, hostAddress, pageCount } of this.map.regions)
        this.uffds[uffd]?.unregister(hostAddress, pageCount * TARGET_PAGE_SIZE);
    } catch (error) {
      throw this.isVmmGone() ? vmmGone() : error;
    }
    this.drainEvents();
    while (!this.#closed && this.uffds.some((uffd) => probeVmm(uffd) === 'changing')) {
      await setImmediate();
      this.drainEvents();
    }
  }

  /** Closes all descriptors. What is still registered stays so as long as the VMM holds its own. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader.stop();
    for (const uffd of this.uffds) uffd.close();
    for (const fd of this.#ramFds.splice(0)) native.closeFd(fd);
  }
}

export function vmmGone(): HostPrecondition {
  return new HostPrecondition('The VMM has exited, or its guest RAM is not mapped any more', {
    reason: 'VMM_GONE',
  });
}
