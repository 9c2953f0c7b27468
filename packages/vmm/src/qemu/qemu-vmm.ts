import { close as closeFd, fstat, open } from 'node:fs';
import { connect } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import {
  Cancelled,
  DeadlineExceeded,
  HostPrecondition,
  Internal,
  PeerUnavailable,
  WrongState,
  messageOf,
} from '@umem/errors';
import type { DiscoveredBlock, RamAccess, StopResult, VmDescription, Vmm, VmmRunState } from '../vmm.js';
import { startSave, type DeviceStateSave } from './device-state-save.js';
import { applySettings, findIgnoreShared, type ChangedSettings } from './migration-settings.js';
import { isFinalState, MigrationWatch } from './migration-watch.js';
import { findBlocker } from './movability.js';
import type { QmpClient } from './qmp-client.js';
import { capabilitiesReply, migrationReply, nothing, statusReply } from './qmp-replies.js';
import { describeVm, toPath } from './ram-discovery.js';
import { checkSocketPath } from './socket-path.js';
import { toVersionText } from './version.js';

/** Longest wait for commands that let I/O in flight finish: stop, cont. */
const QUIESCE_TIMEOUT_MS = 30_000;

const openFile = promisify(open);
const statFile = promisify(fstat);
const closeFile = promisify(closeFd);

/** A QEMU (or anything that speaks its subset of QMP), as both agents drive it. */
export class QemuVmm implements Vmm {
  readonly #qmp: QmpClient;
  readonly #qmpPath: string;
  #pid: number | null = null;
  #settings: ChangedSettings | null = null;
  #stopped: StopResult | null = null;
  #save: DeviceStateSave | null = null;
  #loadPath: string | null = null;
  #load: MigrationWatch | null = null;

  constructor(qmp: QmpClient, qmpPath: string) {
    this.#qmp = qmp;
    this.#qmpPath = qmpPath;
  }

  async describe(): Promise<VmDescription> {
    findIgnoreShared(await this.#qmp.execute('query-migrate-capabilities', capabilitiesReply), this.#version);
    const problem = findBlocker((await this.#readMigration())['blocked-reasons'] ?? []);
    if (problem !== null) throw new HostPrecondition(problem);
    const description = await describeVm(this.#qmp, this.#qmpPath);
    this.#pid = description.pid;
    return description;
  }

  async openRam(block: DiscoveredBlock, access: RamAccess = 'read'): Promise<number> {
    const path = toPath(block.backing);
    let fd: number;
    try {
      fd = await openFile(path, access === 'read' ? 'r' : 'r+');
    } catch (cause) {
      throw new HostPrecondition(`Cannot open ${path}, RAM block "${block.blockId}": ${messageOf(cause)}`, {
        cause,
        metadata: { blockId: block.blockId, path },
      });
    }
    const { size } = await statFile(fd);
    if (size >= block.sizeBytes) return fd;
    await closeFile(fd);
    throw new HostPrecondition(
      `${path} has ${size} bytes, but RAM block "${block.blockId}" has ${block.sizeBytes}: it is not that block's RAM`,
      { metadata: { blockId: block.blockId, path, sizeBytes: String(size) } },
    );
  }

  async runState(): Promise<VmmRunState> {
    const { running, status } = await this.#qmp.execute('query-status', statusReply);
    if (running) return 'running';
    return status === 'inmigrate' ? 'inmigrate' : 'stopped';
  }

  async prepareSave(): Promise<void> {
    if (this.#settings !== null) return;
    const { status: runStatus } = await this.#qmp.execute('query-status', statusReply);
    if (['inmigrate', 'postmigrate', 'finish-migrate', 'save-vm', 'restore-vm', 'colo'].includes(runStatus))
      throw new HostPrecondition(
        `The VM is in run state ${runStatus}, so it has nothing to move${runStatus === 'postmigrate' ? ': it was already migrated; cont runs it here again' : ''}`,
        { metadata: { runState: runStatus } },
      );
    const migration = await this.#readMigration();
    if (!isFinalState(migration.status))
      throw new HostPrecondition(
        `The VMM is busy with a migration that umem did not start (${migration.status}): wait for it, or migrate_cancel it`,
      );
    // Again, for a device may have been plugged in since the VM was described.
    await this.describe();
    this.#settings = await applySettings(this.#qmp, this.#version);
  }

  async stop(): Promise<StopResult> {
    const { running } = await this.#qmp.execute('query-status', statusReply);
    this.#stopped ??= { wasRunning: running };
    if (running) {
      await this.#qmp.execute('stop', nothing, undefined, QUIESCE_TIMEOUT_MS);
      const after = await this.#qmp.execute('query-status', statusReply);
      if (after.running)
        throw new HostPrecondition(
          `The VM runs again right after it was stopped: somebody else sends it cont`,
        );
    }
    return this.#stopped;
  }

  async saveDeviceState(socketPath: string): Promise<Readable> {
    if (this.#settings === null)
      throw new WrongState('the VM', 'not prepared', ['prepared'], 'its device state cannot be saved yet');
    if ((await this.runState()) !== 'stopped')
      throw new WrongState(
        'the VM',
        'running',
        ['stopped'],
        'its device state can be saved only when it is stopped',
      );
    this.#save?.abandon();
    this.#save = await startSave(this.#qmp, socketPath, this.#pid);
    return this.#save.stream;
  }

  async cancelSave(): Promise<void> {
    this.#save?.abandon();
    this.#save = null;
    try {
      if (this.#settings !== null) await this.#cancelMigration();
    } finally {
      // The guest comes first: nothing that fails here may keep it from running.
      if (this.#stopped?.wasRunning === true) await this.resume();
      this.#stopped = null;
    }
    await this.#settings?.restore();
    this.#settings = null;
  }

  async prepareLoad(socketPath: string): Promise<void> {
    checkSocketPath(socketPath);
    const state = await this.runState();
    if (state !== 'inmigrate')
      throw new HostPrecondition(
        `The VMM does not wait for device state (it is ${state}): start it with -incoming defer`,
        { metadata: { runState: state } },
      );
    this.#settings ??= await applySettings(this.#qmp, this.#version);
    await this.#qmp.execute('migrate-incoming', nothing, { uri: `unix:${socketPath}` });
    this.#loadPath = socketPath;
  }

  async openDeviceState(): Promise<Writable> {
    const path = this.#loadPath;
    if (path === null)
      throw new WrongState(
        'the VMM',
        'not prepared',
        ['prepared to load'],
        'it does not take device state yet',
      );
    const watch = new MigrationWatch(this.#qmp, 'loading device state');
    this.#load = watch;
    return new Promise((resolve, reject) => {
      // The VMM may have loaded everything, and closed its side, before we know that it was all: the
      // writing side must stay open until whoever writes ends it.
      const socket = connect({ path, allowHalfOpen: true });
      const refuse = (cause: Error) => {
        const error = new PeerUnavailable(`The VMM does not take device state on ${path}: ${cause.message}`, {
          cause,
        });
        watch.stop(error);
        reject(error);
      };
      socket.once('error', refuse);
      socket.once('connect', () => {
        socket.removeListener('error', refuse);
        // The VMM says nothing here; reading lets the socket see that the VMM has closed it.
        socket.resume();
        // Whoever writes sees the error, too; what was wrong is what `loaded` says.
        socket.on('error', () => undefined);
        watch.started();
        resolve(socket);
      });
    });
  }

  async loaded(): Promise<void> {
    if (this.#load === null)
      throw new WrongState('the VMM', 'not loading', ['loading'], 'there is nothing to wait for');
    await this.#load.completed;
    const state = await this.runState();
    if (state !== 'stopped')
      throw new Internal(`The VMM is ${state} after it has loaded device state; it should wait, stopped`);
  }

  async resume(): Promise<void> {
    await this.#qmp.execute('cont', nothing, undefined, QUIESCE_TIMEOUT_MS);
    const { running, status } = await this.#qmp.execute('query-status', statusReply);
    if (!running)
      throw new HostPrecondition(
        `The VM does not run after cont: its run state is ${status}; look into the VMM's log`,
        {
          metadata: { runState: status },
        },
      );
  }

  async quit(): Promise<void> {
    this.#qmp.expectEnd();
    const ended = new Promise<void>((resolve) => this.#qmp.onEnd(() => resolve()));
    try {
      await this.#qmp.execute('quit', nothing);
    } catch (error) {
      // The VMM may be gone before its answer arrives.
      if (!(error instanceof PeerUnavailable || error instanceof Cancelled)) throw error;
    }
    await within(ended, QUIESCE_TIMEOUT_MS, 'The VMM did not exit after quit');
  }

  onLost(listener: (error: Error | null) => void): void {
    this.#qmp.onEnd(listener);
  }

  close(): void {
    this.#save?.abandon();
    this.#load?.stop(new Cancelled('The connection to the VMM was closed'));
    this.#qmp.close();
  }

  get #version(): string {
    return toVersionText(this.#qmp.version);
  }

  #readMigration() {
    return this.#qmp.execute('query-migrate', migrationReply);
  }

  /** Ends an outgoing migration that is still going; one that has completed needs nothing. */
  async #cancelMigration(): Promise<void> {
    if (isFinalState((await this.#readMigration()).status)) return;
    const watch = new MigrationWatch(this.#qmp, 'cancelling');
    await this.#qmp.execute('migrate_cancel', nothing);
    watch.started();
    // Any end will do: cancelled, failed because its socket is gone, or completed just before.
    const ended = watch.completed.catch(() => undefined);
    await within(ended, QUIESCE_TIMEOUT_MS, 'The VMM did not cancel its migration');
  }
}

/** Rejects with DeadlineExceeded when the promise takes longer. */
async function within<T>(promise: Promise<T>, timeoutMs: number, failure: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineExceeded(`${failure} within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
