import { AlreadyExists, NotFound, Overloaded } from '@umem/errors';
import { formatBytes } from '@umem/ram';
import type { IncomingStage } from '../incoming-state.js';
import type { IncomingHost } from './incoming-host.js';
import type { IncomingParts, IncomingRequest, PromisedRam } from './incoming-parts.js';
import { IncomingVm } from './incoming-vm.js';

/** Incoming VMs that have ended and are kept for people to look at. */
const KEPT = 64;

/** A place that one PrepareIncoming holds until its VM is there. */
interface Reservation {
  readonly sizeBytes: number;
}

/** All incoming VMs of this host by name, and how much of it they take. */
export class IncomingRegistry {
  readonly #host: IncomingHost;
  /** In the order in which they came. */
  readonly #vms = new Map<string, IncomingVm>();
  readonly #reserved = new Map<string, Reservation>();
  /** Forgotten, while their VMMs live in their RAM files. */
  readonly #forgotten = new Map<string, IncomingVm>();
  #isStopping = false;

  constructor(host: IncomingHost) {
    this.#host = host;
  }

  /** Throws NotFound. */
  get(name: string): IncomingVm {
    const vm = this.#vms.get(name);
    if (vm) return vm;
    throw new NotFound(`There is no incoming VM "${name}" on this host`, { metadata: { name } });
  }

  /** Ordered by name. */
  list(): IncomingVm[] {
    return [...this.#vms.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  *stages(): Generator<IncomingStage> {
    for (const vm of this.#vms.values()) yield vm.record.stage;
  }

  /** Size of all RAM files that are there or about to be made, in bytes. */
  ramBytes(): number {
    let bytes = 0;
    for (const { sizeBytes } of this.#reserved.values()) bytes += sizeBytes;
    for (const vm of this.#withRam()) bytes += vm.ramBytes;
    return bytes;
  }

  /** RAM that will still be taken by VMs that are here. */
  async promised(): Promise<PromisedRam> {
    const sum = { smallBytes: 0, hugeBytes: 0 };
    for (const vm of this.#withRam()) {
      const { smallBytes, hugeBytes } = await vm.promised();
      sum.smallBytes += smallBytes;
      sum.hugeBytes += hugeBytes;
    }
    return sum;
  }

  /** Why a VM of this name and size cannot come in now; null when it can. */
  findObstacle(name: string, sizeBytes: number): AlreadyExists | Overloaded | null {
    return this.#findNameTaken(name) ?? this.#findLimit(sizeBytes);
  }

  /**
   * Holds the name and the room while `make` makes the parts, then starts the VM. Throws
   * AlreadyExists, Overloaded, and what `make` throws.
   */
  async prepare(request: IncomingRequest, make: () => Promise<IncomingParts>): Promise<IncomingVm> {
    const { name } = request;
    const sizeBytes = request.blocks.reduce((sum, block) => sum + block.sizeBytes, 0);
    const obstacle = this.findObstacle(name, sizeBytes);
    if (obstacle) throw obstacle;
    this.#reserved.set(name, { sizeBytes });
    try {
      // One that failed before may still be on its way out.
      await this.#vms.get(name)?.gone;
      const vm = await IncomingVm.start(request, await make(), this.#host);
      this.#vms.delete(name);
      this.#vms.set(name, vm);
      this.#dropOldest();
      // It was too late for `stop` to see it.
      if (this.#isStopping) await vm.leave();
      return vm;
    } finally {
      this.#reserved.delete(name);
    }
  }

  /** Undoes an incoming VM and forgets it. Throws NotFound, WrongState. */
  async abort(name: string, migrationId: string, reason: string): Promise<void> {
    const vm = this.get(name);
    await vm.abort(migrationId, reason);
    this.#remove(vm);
  }

  /** Throws NotFound, WrongState. */
  async forget(name: string): Promise<void> {
    const vm = this.get(name);
    await vm.forget();
    this.#remove(vm);
    if (vm.isOutlived) this.#forgotten.set(name, vm);
  }

  /** Undoes what can be undone and lets go of the rest. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#vms.values()].map((vm) => vm.leave()));
  }

  #remove(vm: IncomingVm): void {
    if (this.#vms.get(vm.name) === vm) this.#vms.delete(vm.name);
  }

  *#withRam(): Generator<IncomingVm> {
    for (const [name, vm] of this.#forgotten) if (!vm.isOutlived) this.#forgotten.delete(name);
    yield* this.#vms.values();
    yield* this.#forgotten.values();
  }

  #findNameTaken(name: string): AlreadyExists | null {
    if (this.#reserved.has(name)) return new AlreadyExists(`Incoming VM "${name}" is being prepared already`);
    if (this.#forgotten.get(name)?.isOutlived)
      return new AlreadyExists(`The VMM of an earlier "${name}" still lives on this host: quit it first`);
    const vm = this.#vms.get(name);
    // Nothing of it is left, or nothing will be.
    if (!vm || vm.gone) return null;
    const what = `Incoming VM "${name}" is ${vm.record.stage}`;
    if (vm.record.is('COMPLETED', 'FAILED'))
      return new AlreadyExists(`${what} and its VMM has not exited: quit the VMM first, or forget the VM`);
    return new AlreadyExists(`${what} already: abort it, or use it`);
  }

  #findLimit(sizeBytes: number): Overloaded | null {
    const { maxIncoming, maxRam } = this.#host.config;
    let active = this.#reserved.size;
    for (const vm of this.#vms.values()) if (!vm.record.is('COMPLETED', 'FAILED')) active++;
    if (active >= maxIncoming)
      return new Overloaded(
        `${active} VMs are coming in already, and --max-incoming is ${maxIncoming}: try later`,
      );
    const taken = this.ramBytes();
    if (taken + sizeBytes > maxRam)
      return new Overloaded(
        `${formatBytes(sizeBytes)} of RAM do not fit: VMs that came in hold ${formatBytes(taken)}, and --max-ram is ${formatBytes(maxRam)}`,
      );
    return null;
  }

  /** Keeps a bounded number of those of which nothing is left. */
  #dropOldest(): void {
    const ended = [...this.#vms.values()].filter((vm) => vm.gone !== null);
    for (const vm of ended.slice(0, Math.max(0, ended.length - KEPT))) this.#remove(vm);
  }
}
