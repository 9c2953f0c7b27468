import type { Logger } from '@umem/daemon';
import type { VmDescription } from '@umem/vmm';
import { events } from '../events.js';
import type { SourceSession, SourceSessionListener } from '../serve/source-session.js';
import type { SourceSessions } from '../serve/source-sessions.js';
import type { RegisteredVm } from '../vm/registered-vm.js';
import type { HeldVmm } from '../vm/shared-vmm.js';
import { OpenedRam } from './opened-ram.js';

/** How long the source's VMM may take to take a connection. */
const VMM_TIMEOUT_MS = 5_000;

/** What a migration has got hold of on the source, and lets go of when it ends. */
export class Holdings {
  #vmm: HeldVmm | null = null;
  #ram: OpenedRam | null = null;
  #session: SourceSession | null = null;

  constructor(
    private readonly vm: RegisteredVm,
    private readonly sessions: SourceSessions,
    private readonly log: Logger,
  ) {}

  /** The connection to the VMM; null before `holdVmm`. */
  get vmm(): HeldVmm['vmm'] | null {
    return this.#vmm?.vmm ?? null;
  }

  /** What serves the pages; null before `openSession` and after `closeSession`. */
  get session(): SourceSession | null {
    return this.#session;
  }

  async holdVmm(): Promise<HeldVmm['vmm']> {
    this.#vmm = await this.vm.vmm.hold(VMM_TIMEOUT_MS);
    return this.#vmm.vmm;
  }

  /** Opens the RAM files and maps them on every thread. */
  async openSession(
    vmm: HeldVmm['vmm'],
    { blocks }: VmDescription,
    one: {
      migrationId: string;
      bytesPerSecond: number;
      releasesRam: boolean;
      listener: SourceSessionListener;
    },
  ): Promise<SourceSession> {
    this.#ram = await OpenedRam.open(vmm, blocks, one.releasesRam ? 'read-write' : 'read');
    this.#session = await this.sessions.open({ ...one, blocks: this.#ram.blocks });
    return this.#session;
  }

  /** Ends all lanes with OK (null) or the status of `error`, and closes the RAM files. */
  async closeSession(error: Error | null): Promise<void> {
    const session = this.#session;
    this.#session = null;
    if (session) await this.attempt('closing of lanes', () => this.sessions.close(session, error));
    await this.attempt('closing of RAM files', async () => this.#ram?.close());
  }

  /** The VMM and the VM may be used by others again. */
  letGo(): void {
    this.#vmm?.release();
    this.vm.endMigration();
  }

  /** A step of cleaning up: its failure is logged and stops no other step. */
  async attempt(step: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.log.event(events.cleanUpFailed, { step, error });
    }
  }
}
