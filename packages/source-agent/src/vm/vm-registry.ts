import { join } from 'node:path';
import type { Vm } from '@umem/api';
import { StateFile, type Logger } from '@umem/daemon';
import { AlreadyExists, NotFound, Overloaded } from '@umem/errors';
import { z } from 'zod';
import { events } from '../events.js';
import { RegisteredVm } from './registered-vm.js';
import { newRecord, vmRecordSchema } from './vm-record.js';

/** How long a VMM may take to answer when it is registered. */
const REGISTER_TIMEOUT_MS = 5_000;

export interface VmRegistrySettings {
  readonly stateDir: string;
  readonly maxVms: number;
  readonly log: Logger;
}

/** The VMs of this host that may be moved, kept over restarts. */
export class VmRegistry {
  readonly #settings: VmRegistrySettings;
  readonly #file: StateFile<z.infer<typeof fileSchema>>;
  readonly #vms = new Map<string, RegisteredVm>();
  /** One registration at a time: two could otherwise take the same name or socket. */
  #registering: Promise<unknown> = Promise.resolve();

  private constructor(settings: VmRegistrySettings) {
    this.#settings = settings;
    const { stateDir, log } = settings;
    this.#file = new StateFile(join(stateDir, 'vms.json'), { version: 1, schema: fileSchema, log });
  }

  /** Reads what an earlier process registered. VMs whose VMM is gone stay, until they are unregistered. */
  static async open(settings: VmRegistrySettings): Promise<VmRegistry> {
    const registry = new VmRegistry(settings);
    for (const record of (await registry.#file.read()) ?? [])
      registry.#vms.set(record.name, new RegisteredVm(record));
    return registry;
  }

  /** Says in the log which VMMs answer. */
  async reportAll(): Promise<void> {
    const { log } = this.#settings;
    const report = async (vm: RegisteredVm): Promise<void> => {
      try {
        const { vmmVersion, vmmPid } = await vm.look();
        log.event(events.vmAttached, { vm: vm.name, vmmVersion, vmmPid });
      } catch (error) {
        log.event(events.vmNotAnswering, { vm: vm.name, qmpPath: vm.qmpPath, error });
      }
    };
    await Promise.all(this.list().map(report));
  }

  get size(): number {
    return this.#vms.size;
  }

  /** Ordered by name. */
  list(): RegisteredVm[] {
    return [...this.#vms.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): RegisteredVm | undefined {
    return this.#vms.get(name);
  }

  /** Throws NotFound. */
  get(name: string): RegisteredVm {
    const vm = this.#vms.get(name);
    if (!vm) throw new NotFound(`There is no VM "${name}" here: register it with umemctl vm register`);
    return vm;
  }

  /** Rejects with AlreadyExists, Overloaded, or what `RegisteredVm.register` says. */
  register(name: string, qmpPath: string): Promise<Vm> {
    const registered = this.#registering.then(() => this.#register(name, qmpPath));
    // Whoever asked hears of the failure; the next registration does not depend on it.
    this.#registering = registered.catch(() => {});
    return registered;
  }

  async unregister(name: string): Promise<void> {
    const vm = this.get(name);
    vm.requireIdle('it cannot be unregistered');
    this.#vms.delete(name);
    await this.save();
    this.#settings.log.event(events.vmUnregistered, { vm: name });
  }

  /** Writes all VMs to disk; call it after a change to one. */
  save(): Promise<void> {
    return this.#file.write(this.list().map(({ record }) => record));
  }

  async #register(name: string, qmpPath: string): Promise<Vm> {
    const known = this.#vms.get(name);
    if (!known) this.#checkFree(qmpPath);
    else if (known.qmpPath !== qmpPath)
      throw new AlreadyExists(
        `VM "${name}" is registered with QMP socket ${known.qmpPath}, not ${qmpPath}: unregister it first or choose another name`,
      );
    const vm = known ?? new RegisteredVm(newRecord(name, qmpPath));
    const found = await vm.register(REGISTER_TIMEOUT_MS);
    const { vmmVersion, vmmPid } = found;
    this.#vms.set(name, vm);
    await this.save();
    if (!known) this.#settings.log.event(events.vmRegistered, { vm: name, qmpPath, vmmVersion, vmmPid });
    return found;
  }

  #checkFree(qmpPath: string): void {
    const other = this.list().find((vm) => vm.qmpPath === qmpPath);
    if (other)
      throw new AlreadyExists(
        `QMP socket ${qmpPath} is that of VM "${other.name}": one VM has one registration`,
      );
    if (this.#vms.size >= this.#settings.maxVms)
      throw new Overloaded(
        `${this.#vms.size} VMs are registered and --max-vms allows ${this.#settings.maxVms}: unregister one first`,
      );
  }
}

const fileSchema = z.array(vmRecordSchema);
