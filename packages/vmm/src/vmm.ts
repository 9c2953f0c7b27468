import type { Readable, Writable } from 'node:stream';
import type { RamBlock } from '@umem/ram';

/** Where a RAM block's bytes can be opened on the source host. */
export type RamBacking =
  | { readonly kind: 'file'; readonly path: string }
  /** A memfd of the VMM, or a file that has no name any more, reached through /proc/<pid>/fd/<fd>. */
  | { readonly kind: 'memfd'; readonly pid: number; readonly fd: number };

export interface DiscoveredBlock extends RamBlock {
  readonly backing: RamBacking;
}

/** What a VMM says about itself and its RAM. */
export interface VmDescription {
  /** For example "QEMU 7.2.22", or "umem process guest 0.1.0". */
  readonly version: string;
  /** Process id of the VMM; null when it cannot be found. */
  readonly pid: number | null;
  readonly blocks: readonly DiscoveredBlock[];
  /** Devices whose back end is another process that maps guest RAM, for example `disk0 (vhost-user-blk-pci)`. */
  readonly vhostUserDevices: readonly string[];
}

/** What an open RAM block is for. Default 'read'; 'read-write' where pages shall be freed. */
export type RamAccess = 'read' | 'read-write';

export type VmmRunState = 'running' | 'stopped' | 'inmigrate';

/** What `Vmm.stop` found. */
export interface StopResult {
  /**
   * Whether vCPUs ran before the first `stop`. A guest that its owner had paused stays paused:
   * `cancelSave` leaves it so, and the destination must not resume it.
   */
  readonly wasRunning: boolean;
}

/** A VMM, as both agents drive it. Methods reject with the classes of `@umem/errors`. */
export interface Vmm {
  /** Reads RAM and version; HostPrecondition when the VM cannot be moved, with the option that fixes it. */
  describe(): Promise<VmDescription>;
  /** Opens a RAM block; the caller closes the descriptor. */
  openRam(block: DiscoveredBlock, access?: RamAccess): Promise<number>;
  runState(): Promise<VmmRunState>;

  /** Source, PREPARING: everything that saving will need and that can fail. Undone by `cancelSave`. */
  prepareSave(): Promise<void>;
  /**
   * Source, FREEZING: stops vCPUs and devices; resolves when RAM is immutable. Idempotent: later
   * calls answer what the first one found. On a destination whose vCPUs wait for pages that never
   * come, a VMM may be unable to answer: then DeadlineExceeded, and the vCPUs stay where they are.
   */
  stop(): Promise<StopResult>;
  /**
   * Source, SWITCHOVER: saves device state through a Unix socket at `socketPath` (made and removed
   * here). The stream ends when the VMM has written all and says so, and errors when it fails.
   */
  saveDeviceState(socketPath: string): Promise<Readable>;
  /**
   * Source, before the point of no return: gives up saving, runs the guest again if `stop` had
   * found it running, and puts back every setting that `prepareSave` changed. Idempotent, and may
   * be called again when it failed.
   */
  cancelSave(): Promise<void>;

  /**
   * Destination, PREPARING: makes the VMM wait for device state on a Unix socket at `socketPath`.
   * It touches no guest RAM yet.
   */
  prepareLoad(socketPath: string): Promise<void>;
  /** Destination, SWITCHOVER: where the device state goes. */
  openDeviceState(): Promise<Writable>;
  /** Destination: resolves when the VMM has loaded everything and waits, stopped. */
  loaded(): Promise<void>;

  /** Runs the vCPUs. */
  resume(): Promise<void>;
  /** Tells the VMM to exit; resolves when the connection has closed. */
  quit(): Promise<void>;
  /** Called once when the VMM's control connection ends; null when `close` or `quit` ended it. */
  onLost(listener: (error: Error | null) => void): void;
  /** Lets go of the VMM without disturbing it. Idempotent. */
  close(): void;
}
