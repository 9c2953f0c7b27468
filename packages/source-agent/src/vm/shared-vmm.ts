import { connectQemu, type Vmm } from '@umem/vmm';

/** How long a VMM may take to answer when somebody looks at a VM. */
const LOOK_TIMEOUT_MS = 2_000;

/** A connection that its holder must let go of. */
export interface HeldVmm {
  readonly vmm: Vmm;
  /** Idempotent. The connection is closed when nobody else uses it. */
  release(): void;
}

/**
 * The connection to one VMM, shared by all who use it at a time: a VMM takes one client per socket.
 * Between uses it is closed, so that other tools can use the socket.
 */
export class SharedVmm {
  #connecting: Promise<Vmm> | null = null;
  #holders = 0;

  constructor(private readonly qmpPath: string) {}

  /** Connects, or joins those who are connected. Rejects with PeerUnavailable or HostPrecondition. */
  async hold(timeoutMs = LOOK_TIMEOUT_MS): Promise<HeldVmm> {
    this.#holders++;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      if (--this.#holders === 0) this.#close();
    };
    try {
      this.#connecting ??= this.#connect(timeoutMs);
      return { vmm: await this.#connecting, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Holds the connection for as long as `use` runs. */
  async use<T>(use: (vmm: Vmm) => Promise<T>, timeoutMs?: number): Promise<T> {
    const { vmm, release } = await this.hold(timeoutMs);
    try {
      return await use(vmm);
    } finally {
      release();
    }
  }

  #connect(timeoutMs: number): Promise<Vmm> {
    const connecting = connectQemu(this.qmpPath, { timeoutMs });
    const forget = (): void => {
      if (this.#connecting === connecting) this.#connecting = null;
    };
    // The failure is the holders' to hear; here it only means that the next one connects anew.
    connecting.then((vmm) => vmm.onLost(forget), forget);
    return connecting;
  }

  #close(): void {
    const connecting = this.#connecting;
    this.#connecting = null;
    // A connection that never came up needs no closing.
    connecting?.then(
      (vmm) => vmm.close(),
      () => {},
    );
  }
}
