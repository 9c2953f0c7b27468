import { toBlockMessages, VmRunState, type Vm } from '@umem/api';
import { WrongState } from '@umem/errors';
import type { RamBlock } from '@umem/ram';
import type { VmDescription, Vmm, VmmRunState } from '@umem/vmm';
import { SharedVmm } from './shared-vmm.js';
import type { VmRecord } from './vm-record.js';

const RUN_STATES: Readonly<Record<VmmRunState, VmRunState>> = {
  running: VmRunState.RUNNING,
  stopped: VmRunState.STOPPED,
  // It waits for a guest of its own: there is none that could run.
  inmigrate: VmRunState.STOPPED,
};

/** What a VMM said when it was last looked at. */
interface Look {
  readonly description: VmDescription;
  readonly runState: VmmRunState;
}

/** One registered VM. */
export class RegisteredVm {
  readonly vmm: SharedVmm;
  #record: VmRecord;
  /** The unfinished migration that has it. */
  #movingBy: string | null = null;

  constructor(record: VmRecord) {
    this.#record = record;
    this.vmm = new SharedVmm(record.qmpPath);
  }

  get name(): string {
    return this.#record.name;
  }

  get qmpPath(): string {
    return this.#record.qmpPath;
  }

  /** To be written to disk. */
  get record(): VmRecord {
    return this.#record;
  }

  get isMigrating(): boolean {
    return this.#movingBy !== null;
  }

  /** Takes the VM for a migration. Throws WrongState while it has one, and once it has moved. */
  beginMigration(migrationId: string): void {
    this.requireMovable();
    this.#movingBy = migrationId;
    this.#record = { ...this.#record, migrationId };
  }

  /** Throws WrongState unless a migration may begin. */
  requireMovable(): void {
    const { moved, migrationId } = this.#record;
    if (moved)
      throw this.#wrongState(
        'MOVED',
        `its guest runs on ${moved.destination} since migration ${migrationId} and must not run here again; unregister it when it is not needed any more`,
      );
    if (this.#movingBy !== null)
      throw this.#wrongState(
        'MIGRATING',
        `migration ${this.#movingBy} is moving it; wait for its end or cancel it`,
      );
  }

  /** A migration that an earlier process began has it, whether its guest has moved or not. */
  continueMigration(migrationId: string): void {
    this.#movingBy = migrationId;
  }

  /** Throws WrongState while a migration has it. */
  requireIdle(clause: string): void {
    if (this.#movingBy !== null)
      throw this.#wrongState('MIGRATING', `${clause} while migration ${this.#movingBy} is moving it`);
  }

  /** The migration has ended, here or there. */
  endMigration(): void {
    this.#movingBy = null;
  }

  /** From now on the guest must never run here again. */
  markMoved(destination: string, vmmPid: number | null, migrationId: string): void {
    this.#record = { ...this.#record, migrationId, moved: { destination, vmmPid } };
  }

  /** The destination has given the guest up before it ran there: it may run here again. */
  markReturned(): void {
    this.#record = { ...this.#record, moved: null };
  }

  /**
   * Asks the VMM how things are and keeps the answer. Rejects like `Vmm.describe`: when it cannot be
   * moved, when nobody answers.
   */
  async look(timeoutMs?: number): Promise<Vm> {
    const look = await this.vmm.use(lookAt, timeoutMs);
    const { blocks, version, vhostUserDevices } = look.description;
    this.#record = {
      ...this.#record,
      blocks: blocks.map(toPlainBlock),
      version,
      vhostUserDevices: [...vhostUserDevices],
    };
    return this.#toMessage(look);
  }

  /** Looks as above, for a registration: a new VMM on the socket of a guest that has moved is a new VM. */
  async register(timeoutMs: number): Promise<Vm> {
    const { vmmPid } = await this.look(timeoutMs);
    const { moved } = this.#record;
    if (moved?.vmmPid && vmmPid !== 0 && vmmPid !== moved.vmmPid)
      this.#record = { ...this.#record, moved: null, migrationId: '' };
    return this.look(timeoutMs);
  }

  /** As it is now, or as it was last seen when the VMM does not answer. */
  async show(): Promise<Vm> {
    try {
      return await this.look();
    } catch {
      // Whatever is wrong is for a registration or a migration to say; here the VM is shown without it.
      return this.#toMessage(null);
    }
  }

  #toMessage(look: Look | null): Vm {
    const { name, qmpPath, blocks, version, migrationId, moved, vhostUserDevices } = this.#record;
    const runState = look ? RUN_STATES[look.runState] : VmRunState.UNSPECIFIED;
    return {
      name,
      qmpPath,
      blocks: toBlockMessages(blocks),
      runState: moved ? VmRunState.MOVED : runState,
      vmmPid: look?.description.pid ?? 0,
      vmmVersion: version,
      migrationId,
      vhostUserDevices,
    };
  }

  #wrongState(current: string, clause: string): WrongState {
    return new WrongState(`VM "${this.name}"`, current, ['REGISTERED'], clause);
  }
}

async function lookAt(vmm: Vmm): Promise<Look> {
  const description = await vmm.describe();
  return { description, runState: await vmm.runState() };
}

function toPlainBlock({ blockId, sizeBytes, hostPageSizeBytes }: RamBlock): VmRecord['blocks'][number] {
  return { blockId, sizeBytes, hostPageSizeBytes };
}
