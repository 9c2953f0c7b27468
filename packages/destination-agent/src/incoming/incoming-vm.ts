import { UmemState, type Incoming, type Umem } from '@umem/api';
import { HostPrecondition, messageOf, NotFound, PeerUnavailable, WrongState } from '@umem/errors';
import { findBlockMismatch } from '@umem/ram';
import { events } from '../events.js';
import { BEFORE_RESUME } from '../incoming-state.js';
import type { LaunchProfile } from '../launch/launch-profile.js';
import { fillIn } from '../launch/placeholders.js';
import { VmmControl } from '../launch/vmm-control.js';
import { launchEnvironment } from '../launch/vmm-environment.js';
import { cleanUp, releaseRemains } from './clean-up.js';
import { connectIncoming, type ConnectRequest } from './connect.js';
import type { DeviceState } from './device-state.js';
import { feedVmm } from './feed-vmm.js';
import { GuestHere } from './guest-here.js';
import type { IncomingHost } from './incoming-host.js';
import { toIncoming } from './incoming-message.js';
import type { IncomingParts, IncomingRequest, PromisedRam } from './incoming-parts.js';
import { IncomingRecord } from './incoming-record.js';
import { PageToucher } from './page-toucher.js';
import { RamGuard } from './ram-guard.js';
import { SourceWatchdog } from './source-watchdog.js';

/**
 * One VM on its way in. Before RESUMING everything that breaks ends in `fail`, which undoes all of
 * it; from RESUMING on nothing does, and what breaks is for `GuestHere`. Which of the two it is, is
 * decided in one turn of the event loop, against the record's stage.
 */
export class IncomingVm {
  readonly record: IncomingRecord;
  readonly #request: IncomingRequest;
  readonly #parts: IncomingParts;
  readonly #host: IncomingHost;
  readonly #vmm: VmmControl;
  readonly #guest: GuestHere;
  readonly #watchdog: SourceWatchdog;
  /** Aborted with the reason when `fail` begins. */
  readonly #ending = new AbortController();
  readonly #toucher: PageToucher;
  readonly #guard: RamGuard;
  #touchFailed = false;
  /** Settles when ConnectIncoming touches the VMM no more. */
  #connecting: Promise<unknown> = Promise.resolve();
  #gone: Promise<void> | null = null;

  private constructor(request: IncomingRequest, parts: IncomingParts, host: IncomingHost) {
    const { name } = request;
    const { incomingTimeout, sourceLossGrace } = host.config;
    this.#request = request;
    this.#parts = parts;
    this.#host = host;
    this.record = new IncomingRecord(name, parts.link.umem, host.log);
    this.#vmm = new VmmControl(name, parts.run, host.log, {
      onGone: (how) => void this.#vmmIsGone(how),
      onUnreachable: (error) => this.fail(error),
    });
    this.#guest = new GuestHere(this.record, parts, this.#vmm, host);
    this.#toucher = new PageToucher(
      (blockId) => parts.ram.files.find(({ block }) => block.blockId === blockId)?.path,
      (pid) => parts.pageServerPids.has(pid),
    );
    this.#guard = new RamGuard(name, parts, (error) =>
      host.log.event(events.ramGuardFailed, { vm: name, error }),
    );
    this.#watchdog = new SourceWatchdog(
      { name, timeoutMs: incomingTimeout, graceMs: sourceLossGrace },
      (error) => this.fail(error),
    );
  }

  /** Attaches to the umem set and, with a profile, launches the VMM. Leaves nothing behind when it fails. */
  static async start(
    request: IncomingRequest,
    parts: IncomingParts,
    host: IncomingHost,
  ): Promise<IncomingVm> {
    const vm = new IncomingVm(request, parts, host);
    try {
      await parts.link.open({
        onUmem: (umem) => vm.#umemChanged(umem),
        onTouch: (blockId, pgoffs) => void vm.#touch(blockId, pgoffs),
        // Answers to what came before it go first.
        onQuit: () => {
          vm.#guard.stop();
          void vm.#toucher.close().then(() => vm.#guest.pagesAreHere());
        },
        onLoss: (message, missingPages) => vm.#pagesAreLost(message, missingPages),
        onBroken: (error) => {
          vm.fail(error);
          void vm.#guest.pageServerIsLost(error);
        },
      });
      if (request.profile) await vm.#launch(request.profile);
    } catch (error) {
      vm.fail(error);
      await vm.#gone;
      throw error;
    }
    return vm;
  }

  get name(): string {
    return this.record.name;
  }

  /** Size of the RAM files, in bytes, while there are any. */
  get ramBytes(): number {
    return this.#gone ? 0 : this.#parts.ram.sizeBytes;
  }

  /** RAM that will still be taken: on the tmpfs as pages arrive, of huge pages when the VMM maps them. */
  async promised(): Promise<PromisedRam> {
    if (this.#gone) return { smallBytes: 0, hugeBytes: 0 };
    const { ram } = this.#parts;
    const isMapped = this.record.umem.state !== UmemState.AWAITING_HANDOFF;
    // Once they are mapped, the kernel has reserved them and counts them no more as free.
    return { smallBytes: await ram.unfilledBytes(), hugeBytes: isMapped ? 0 : ram.hugeBytes };
  }

  /** Resolves when nothing of it is left on the host; null while something will stay. */
  get gone(): Promise<void> | null {
    return this.#gone;
  }

  /** Whether its VMM lives and its end will be noticed. */
  get isOutlived(): boolean {
    return !this.#gone && this.#vmm.isWatched;
  }

  toMessage(): Incoming {
    return toIncoming(this.record, this.#parts, this.#vmm.launchedPid);
  }

  /** ConnectIncoming. What fails after the request was found good ends the incoming VM. */
  async connect(request: ConnectRequest, signal: AbortSignal): Promise<void> {
    const { migrationId } = request.target;
    this.#requireAlive();
    this.record.require(['PREPARED'], 'it is connected once');
    if (this.record.migrationId !== '')
      throw this.#wrongState(`migration ${this.record.migrationId} is connecting to it`);
    const mismatch = findBlockMismatch(this.#request.blocks, request.blocks);
    if (mismatch)
      throw new HostPrecondition(
        `Incoming VM "${this.name}" was prepared for another VM: ${mismatch}. Abort it and prepare it again`,
      );
    this.record.migrationId = migrationId;
    this.record.changes.notify();
    this.#watchdog.progress();
    const until = AbortSignal.any([signal, this.#ending.signal]);
    const { done, settled } = connectIncoming(this.name, this.#parts, this.#vmm, request, until);
    this.#connecting = settled;
    await this.#orFail(
      done.then(() => this.#guard.check()),
      until,
    );
    this.record.move('CONNECTED', `lanes, handoff and QMP of migration ${migrationId} are there`);
    this.#watchdog.progress();
    this.#watchdog.lanes(this.#parts.link.umem.lanesConnected);
  }

  /** LoadDeviceState: arms the umem set before the first byte reaches the VMM. */
  async load({ migrationId, bytes, signal }: DeviceState): Promise<void> {
    this.#requireMigration(migrationId);
    this.#requireAlive();
    this.record.require(['CONNECTED'], 'device state is loaded once, after ConnectIncoming');
    this.record.move('LOADING', 'device state is coming');
    const startedAtMs = performance.now();
    const until = AbortSignal.any([signal, this.#ending.signal]);
    const armAndFeed = async (): Promise<number> => {
      await this.#parts.link.arm(until);
      return feedVmm(this.#vmm.vmm, bytes, until, () => this.#watchdog.progress());
    };
    const length = await this.#orFail(armAndFeed(), until);
    this.record.move('LOADED', `the VMM has loaded ${length} bytes of device state`);
    this.#watchdog.progress();
    this.#host.metrics.loaded(length, (performance.now() - startedAtMs) / 1000);
  }

  /**
   * ResumeIncoming. Throws WrongState only where the guest has never run and never will, so that the
   * source may take it for leave to run on.
   */
  async resume(migrationId: string): Promise<void> {
    this.#requireMigration(migrationId);
    if (!this.#guest.decided) {
      // Its QMP connection has just broken: nobody can tell it to run, so it is certain that it does not.
      if (this.record.is('LOADED') && !this.#vmm.isAttached)
        this.fail(new PeerUnavailable(`The VMM of "${this.name}" has no QMP connection`));
      this.record.require(['LOADED'], 'its guest has not run here and will not');
      // In the turn of the check: from here on neither clean-up nor abort can begin.
      this.record.move('RESUMING', 'the source has given the guest away');
      this.#watchdog.stop();
      const missingPages = (): bigint => this.record.umem.stats?.remainingPages ?? 0n;
      this.#guard.start((message) => this.#pagesAreLost(message, missingPages()));
    }
    try {
      await this.#guest.resume((error) => this.#undo(new HostPrecondition(error)));
    } finally {
      if (!this.record.is('RESUMED')) this.#guard.stop();
    }
  }

  /** AbortIncoming: resolves when nothing is left. Throws WrongState once the guest may have run. */
  async abort(migrationId: string, reason: string): Promise<void> {
    const { migrationId: ours } = this.record;
    if (ours !== '' && migrationId !== '') this.#requireMigration(migrationId);
    if (!(this.record.is('FAILED') && this.record.guestRecoverable)) {
      this.record.require(BEFORE_RESUME, 'its guest runs, or has run, here');
      if (ours !== '' && migrationId === '')
        throw this.#wrongState(`only migration ${ours}, which fills it, may abort it`);
      this.fail(new HostPrecondition(`Aborted: ${reason === '' ? 'no reason given' : reason}`));
    }
    await this.#gone;
  }

  /** ForgetIncoming: what stays is looked after until the VMM exits. Throws WrongState. */
  async forget(): Promise<void> {
    this.record.require(['COMPLETED', 'FAILED'], 'only what has ended can be forgotten');
    if (this.record.is('COMPLETED') && !this.#gone) await this.#parts.link.delete({ guestNeverRan: false });
    this.#parts.link.close();
    if (!this.isOutlived) await this.#parts.run.log.close();
  }

  /** Undoes everything, unless the guest may have run: then it does nothing. Idempotent. */
  fail(error: unknown): void {
    if (this.record.is(...BEFORE_RESUME)) this.#undo(error);
  }

  /** The agent stops: what can be undone is, the rest is left to itself. */
  async leave(): Promise<void> {
    this.fail(new PeerUnavailable('The destination-agent is shutting down'));
    await this.#guest.decided;
    await this.#gone;
    if (this.#gone) return;
    this.#guard.stop();
    if (this.record.is('RESUMED')) this.record.pageServerLost = true;
    this.record.changes.end();
    await this.#toucher.close();
    this.#parts.link.close();
    this.#vmm.leave();
    await this.#parts.run.log.close();
  }

  async #launch(profile: LaunchProfile): Promise<void> {
    const { ram, run, env } = this.#parts;
    const command = fillIn(profile, { name: this.name, qmpPath: run.qmpPath, ram: ram.files });
    await this.#vmm.launch(command, launchEnvironment(env, command.env));
  }

  #umemChanged(umem: Umem): void {
    const { umem: before } = this.record;
    this.record.umem = umem;
    const hasMoved = umem.state !== before.state;
    if (hasMoved) this.record.changes.notify();
    if (hasMoved || umem.stats?.remainingPages !== before.stats?.remainingPages) this.#watchdog.progress();
    const isDone = umem.state === UmemState.RESIDENT || umem.state === UmemState.RELEASED;
    if (this.record.is('CONNECTED', 'LOADING', 'LOADED')) this.#watchdog.lanes(umem.lanesConnected || isDone);
    if (umem.state === UmemState.FAILED) this.#pagesAreLost(umem.error, umem.stats?.remainingPages ?? 0n);
    // Its QUIT was lost with a stream.
    if (umem.state === UmemState.RELEASED) {
      this.#guard.stop();
      this.#guest.pagesAreHere();
    }
  }

  /** TRIGGER_PAGE_FAULT. Pages that cannot be touched are there all the same: they cost a fault later. */
  async #touch(blockId: string, pgoffs: readonly number[]): Promise<void> {
    try {
      const { faulted, unmapped } = await this.#toucher.touch(blockId, pgoffs);
      this.#parts.link.touched(blockId, faulted, unmapped);
    } catch (error) {
      if (!this.#touchFailed) this.#host.log.event(events.touchFailed, { vm: this.name, blockId, error });
      this.#touchFailed = true;
    }
  }

  #pagesAreLost(message: string, missingPages: bigint): void {
    this.#guard.stop();
    this.fail(new HostPrecondition(message));
    void this.#guest.pagesAreLost(message, missingPages);
  }

  async #vmmIsGone(how: string): Promise<void> {
    this.#guard.stop();
    this.fail(new HostPrecondition(`The VMM of "${this.name}" ${how}`, { reason: 'VMM_EXITED' }));
    await this.#guest.vmmIsGone(how);
    await this.#toucher.close();
    this.#gone ??= releaseRemains(this.name, this.#parts, this.#host.log);
  }

  /** The only way to FAILED on which the guest is safe: it has not run here, and now never will. */
  #undo(error: unknown): void {
    this.#watchdog.stop();
    this.#guard.stop();
    this.record.fail(messageOf(error), { guestRecoverable: true });
    this.#ending.abort(error);
    this.#host.log.event(events.incomingFailed, { vm: this.name, error });
    this.#host.metrics.finished('failed');
    this.#gone = this.#connecting
      .then(() => this.#toucher.close())
      .then(() => cleanUp(this.name, this.#parts, this.#vmm, this.#host.log));
  }

  /** The outcome of a step; one that failed, or that was broken off meanwhile, ends the incoming VM. */
  async #orFail<T>(step: Promise<T>, until: AbortSignal): Promise<T> {
    try {
      const result = await step;
      until.throwIfAborted();
      return result;
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  #requireMigration(migrationId: string): void {
    const { migrationId: ours } = this.record;
    if (migrationId !== ours)
      throw new NotFound(
        `There is no incoming VM "${this.name}" of migration "${migrationId}" here, only one ${ours === '' ? 'that no migration has connected to' : `of migration "${ours}"`}`,
      );
  }

  /** Tells a caller that comes too late why. */
  #requireAlive(): void {
    if (this.record.is('FAILED'))
      throw new HostPrecondition(this.record.error, { reason: 'INCOMING_FAILED' });
  }

  #wrongState(clause: string): WrongState {
    return new WrongState(`incoming VM "${this.name}"`, this.record.stage, [], clause);
  }
}
