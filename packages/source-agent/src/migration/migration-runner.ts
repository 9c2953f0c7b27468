import { IncomingState, Placement, SourceAfter, type Incoming, type LaneTarget } from '@umem/api';
import type { Logger } from '@umem/daemon';
import {
  AlreadyExists,
  Cancelled,
  DeadlineExceeded,
  HostPrecondition,
  NotFound,
  PeerUnavailable,
  messageOf,
} from '@umem/errors';
import type { VmDescription, Vmm } from '@umem/vmm';
import { events } from '../events.js';
import type { SourceSession } from '../serve/source-session.js';
import type { SourceSessions } from '../serve/source-sessions.js';
import type { RegisteredVm } from '../vm/registered-vm.js';
import type { VmRegistry } from '../vm/vm-registry.js';
import { Destination } from './destination.js';
import { DestinationWatch } from './destination-watch.js';
import { DowntimeClock } from './downtime-clock.js';
import { releaseGuest, toUndoneOutcome } from './guest-release.js';
import { Holdings } from './holdings.js';
import type { Failure, Migration } from './migration.js';
import type { MigrationStore } from './migration-store.js';
import { PostcopyFollower } from './postcopy-follower.js';
import { resumeDestination, type ResumeOutcome } from './resume-destination.js';
import type { SourceAddresses } from './source-address.js';
import { checkPlacement, checkSource, notRunning } from './source-checks.js';
import { toStateSocketPath } from './state-socket.js';
import { unlessAborted } from './unless-aborted.js';

/** What every migration of the agent uses. */
export interface RunnerServices {
  readonly registry: VmRegistry;
  readonly sessions: SourceSessions;
  readonly store: MigrationStore;
  readonly stateDir: string;
  readonly log: Logger;
}

/** What one migration was asked to do, beside what the resource says. */
export interface RunnerOrder {
  readonly vm: RegisteredVm;
  /** Launch profile on the destination. */
  readonly profile: string;
  readonly addresses: SourceAddresses;
}

/** What the preparation has got hold of: all of it is needed to freeze. */
interface Prepared {
  readonly vmm: Vmm;
  readonly description: VmDescription;
  readonly session: SourceSession;
}

/**
 * Moves one VM. `run` is the sequence; what fails before the point of no return is undone by `#undo`
 * and the source runs on, what fails after it is reported and the source stays stopped.
 */
export class MigrationRunner {
  readonly #migration: Migration;
  readonly #services: RunnerServices;
  readonly #order: RunnerOrder;
  readonly #destination: Destination;
  readonly #holdings: Holdings;
  readonly #follower: PostcopyFollower;
  readonly #aborting = new AbortController();
  readonly #log: Logger;
  #watch: DestinationWatch | null = null;
  /** The destination has something that it would have to clean up. */
  #destinationTouched = false;
  /** The guest runs on the destination. */
  #isResumed = false;

  constructor(migration: Migration, services: RunnerServices, order: RunnerOrder) {
    this.#migration = migration;
    this.#services = services;
    this.#order = order;
    this.#destination = new Destination(migration.destinationAddress, migration.vm, migration.id);
    this.#follower = new PostcopyFollower(migration);
    this.#log = services.log.child({ migrationId: migration.id, vm: migration.vm });
    this.#holdings = new Holdings(order.vm, services.sessions, this.#log);
  }

  /** Never rejects: the migration says how it ended. */
  async run(): Promise<void> {
    const timer = this.#startTimer();
    let clock: DowntimeClock;
    try {
      const prepared = await this.#prepare();
      clock = await this.#freeze(prepared);
      await this.#moveDeviceState(prepared, clock);
      await this.#passPointOfNoReturn(prepared);
    } catch (error) {
      clearTimeout(timer);
      return this.#undo(this.#aborting.signal.aborted ? this.#aborting.signal.reason : error);
    }
    clearTimeout(timer);
    const resumed = await this.#resume(clock);
    if (resumed.kind === 'refused') return this.#takeBack(resumed.error);
    return this.#finish(resumed.kind === 'failed' ? resumed.failure : await this.#follower.follow());
  }

  /** Ends it before the point of no return because of `error`; has no effect after it. */
  abort(error: Error): void {
    if (this.#migration.isPastPointOfNoReturn || this.#migration.is('FAILED')) return;
    this.#migration.setActivity(`Ending: ${messageOf(error)}`);
    this.#aborting.abort(error);
  }

  /** A token for a further page server. Throws HostPrecondition before pages can be served. */
  createLaneToken(): Promise<string> {
    if (this.#holdings.session) return this.#holdings.session.createToken();
    throw new HostPrecondition(
      `Migration ${this.#migration.id} does not serve pages yet (${this.#migration.toMessage().activity}): ask again shortly`,
    );
  }

  /** Turns background on: now when the guest runs on the destination, else as soon as it does. */
  finish(): void {
    this.#migration.setOptions({ noBackground: false });
    if (this.#isResumed) this.#holdings.session?.push();
  }

  /** Limits background lanes from now on; 0: no limit. */
  setRate(bytesPerSecond: bigint): void {
    this.#migration.setOptions({ maxBandwidthBytesPerSecond: bytesPerSecond });
    this.#holdings.session?.setRate(Number(bytesPerSecond));
  }

  // ---- PREPARING: everything that can fail, while the guest runs ----

  async #prepare(): Promise<Prepared> {
    const { vm } = this.#order;
    this.#migration.setActivity('Checking the source');
    const vmm = await this.#holdings.holdVmm();
    vmm.onLost((error) => {
      if (error)
        this.abort(
          new PeerUnavailable(`The source's VMM is gone: ${messageOf(error)}`, { reason: 'SOURCE_VMM_LOST' }),
        );
    });
    const description = await checkSource(vmm, vm.name);
    this.#checkAborted();

    await this.#prepareDestination(description);

    this.#migration.setActivity('Opening guest RAM');
    const session = await this.#openSession(vmm, description);
    const token = await session.createToken();
    await vmm.prepareSave();
    this.#checkAborted();

    this.#migration.setActivity('Connecting lanes; waiting for the destination VMM');
    this.#destinationTouched = true;
    const { releaseRam: confirmPlaced = false } = this.#migration.toMessage().options ?? {};
    await this.#destination.connect(
      this.#toTarget(token),
      description.blocks,
      { confirmPlaced },
      this.#aborting.signal,
    );
    this.#startWatch();
    return { vmm, description, session };
  }

  async #prepareDestination({ blocks, vhostUserDevices }: VmDescription): Promise<void> {
    const { signal } = this.#aborting;
    const { vm } = this.#migration;
    this.#migration.setActivity('Checking the destination');
    const incoming = await this.#destination.find(signal);
    if (incoming?.state === IncomingState.PREPARED)
      return checkPlacement(vm, { vhostUserDevices }, incoming.placement);
    const { placement = Placement.COPY, postcopyFlags = 0 } = this.#migration.toMessage().options ?? {};
    checkPlacement(vm, { vhostUserDevices }, placement);
    const intake = { profile: this.#order.profile, placement, postcopyFlags, vhostUserDevices };
    await this.#destination.preflight(blocks, intake, signal);
    this.#migration.setActivity('Preparing the destination');
    this.#destinationTouched = true;
    try {
      await this.#destination.prepare(blocks, intake, signal);
    } catch (error) {
      // What is there belongs to somebody else, and is not ours to clean up.
      if (error instanceof AlreadyExists) this.#destinationTouched = false;
      throw error;
    }
  }

  async #openSession(vmm: Vmm, description: VmDescription): Promise<SourceSession> {
    const { releaseRam = false } = this.#migration.toMessage().options ?? {};
    const session = await this.#holdings.openSession(vmm, description, {
      migrationId: this.#migration.id,
      bytesPerSecond: this.#bytesPerSecond,
      releasesRam: releaseRam,
      listener: {
        onLanes: (open) => this.#follower.onLanes(open),
        onEoc: () => this.#follower.onEoc(),
      },
    });
    // It may have been changed while the threads mapped the RAM.
    session.setRate(this.#bytesPerSecond);
    return session;
  }

  get #bytesPerSecond(): number {
    return Number(this.#migration.toMessage().options?.maxBandwidthBytesPerSecond ?? 0n);
  }

  #toTarget(token: string): LaneTarget {
    const { demand, background } = this.#order.addresses;
    return {
      migrationId: this.#migration.id,
      token,
      demandAddress: demand,
      // Also without background: they push nothing until the migration is told to finish.
      backgroundAddresses: [...background],
    };
  }

  // ---- FREEZING and SWITCHOVER: the guest stands still; nothing else may happen here ----

  async #freeze({ vmm, session }: Prepared): Promise<DowntimeClock> {
    this.#migration.markFreezing();
    await this.#services.store.write(this.#migration.record);
    this.#checkAborted();
    this.#migration.transition('FREEZING', 'everything is prepared');
    this.#migration.setActivity('Stopping the guest');
    const clock = new DowntimeClock();
    const { wasRunning } = await vmm.stop();
    if (!wasRunning) throw notRunning(this.#migration.vm, 'stopped');
    session.freeze();
    this.#migration.setDowntime({ stopUs: clock.lapUs() });
    return clock;
  }

  async #moveDeviceState({ vmm, description }: Prepared, clock: DowntimeClock): Promise<void> {
    this.#checkAborted();
    this.#migration.transition('SWITCHOVER', 'the guest is stopped');
    this.#migration.setActivity('Moving device state');
    const where = { qmpPath: this.#order.vm.qmpPath, pid: description.pid };
    const socketPath = await toStateSocketPath(this.#services.stateDir, this.#migration.id, where);
    const state = await unlessAborted(vmm.saveDeviceState(socketPath), this.#aborting.signal);
    const bytes = await this.#destination.loadDeviceState(state, this.#aborting.signal);
    this.#migration.setDowntime({ deviceStateUs: clock.lapUs(), deviceStateBytes: BigInt(bytes) });
  }

  /** From here on the source must never run again: on disk before the destination is told to resume. */
  async #passPointOfNoReturn({ description }: Prepared): Promise<void> {
    this.#checkAborted();
    this.#migration.markPointOfNoReturn(true);
    try {
      await this.#services.store.write(this.#migration.record);
    } catch (error) {
      // Nothing has been sent: the way back is still open.
      this.#migration.markPointOfNoReturn(false);
      throw error;
    }
    this.#order.vm.markMoved(this.#migration.destinationAddress, description.pid, this.#migration.id);
  }

  // ---- POSTCOPY: the guest runs on the destination ----

  async #resume(clock: DowntimeClock): Promise<ResumeOutcome> {
    this.#migration.setActivity('Running the guest on the destination');
    const outcome = await resumeDestination(this.#destination, {
      hasEoc: () => this.#follower.hasEoc,
      onActivity: (activity) => this.#migration.setActivity(activity),
    });
    if (outcome.kind !== 'running') return outcome;
    const resumeUs = clock.lapUs();
    this.#migration.setDowntime({ resumeUs, totalUs: clock.totalUs });
    this.#isResumed = true;
    const { noBackground = false } = this.#migration.toMessage().options ?? {};
    this.#holdings.session?.push({ toDestination: !noBackground });
    this.#holdings.session?.allowRelease();
    this.#migration.transition('POSTCOPY_ACTIVE', 'the guest runs on the destination');
    await this.#keep();
    return outcome;
  }

  /** The destination has said for certain that the guest never ran there and never will. */
  async #takeBack(error: Error): Promise<void> {
    this.#migration.markPointOfNoReturn(false);
    this.#order.vm.markReturned();
    return this.#undo(error);
  }

  #startWatch(): void {
    this.#watch = new DestinationWatch(this.#destination, {
      onIncoming: (incoming) => this.#onIncoming(incoming),
      onLost: (error) => {
        this.#log.event(events.destinationWatchLost, { error });
        if (error instanceof NotFound)
          this.abort(
            new Cancelled('The destination gave the incoming VM up', { reason: 'DESTINATION_ABORTED' }),
          );
        this.#follower.onWatchLost(error);
      },
    });
  }

  #onIncoming(incoming: Incoming): void {
    // An earlier migration's, before this one is connected.
    if (incoming.migrationId !== this.#migration.id) return;
    if (incoming.state === IncomingState.FAILED)
      this.abort(
        new HostPrecondition(`The destination failed: ${incoming.error}`, { reason: 'DESTINATION_FAILED' }),
      );
    this.#follower.onIncoming(incoming);
  }

  async #finish(failure: Failure | null): Promise<void> {
    await this.#watch?.stop();
    await this.#holdings.closeSession(
      failure === null ? null : new Cancelled(`The migration failed: ${messageOf(failure.error)}`),
    );
    if (failure === null) await this.#afterwards();
    this.#letGo();
    if (failure === null) this.#migration.complete('the destination needs nothing more');
    else this.#migration.fail(failure);
    await this.#keep();
  }

  /** Does with the source VM what the caller chose. Its end does not matter to the guest any more. */
  async #afterwards(): Promise<void> {
    if (this.#migration.toMessage().options?.sourceAfter !== SourceAfter.QUIT) return;
    this.#migration.setActivity('Ending the source VMM');
    await this.#holdings.attempt('quit of the source VMM', async () => this.#holdings.vmm?.quit());
  }

  // ---- before the point of no return: one way back ----

  async #undo(error: unknown): Promise<void> {
    this.#log.event(events.migrationAborting, { error });
    this.#migration.setActivity('Undoing: giving the guest back to the source');
    await this.#watch?.stop();
    await this.#holdings.closeSession(
      new Cancelled(
        `Migration ${this.#migration.id} was aborted and its guest runs on the source: ${messageOf(error)}`,
      ),
    );
    const { vmm } = this.#holdings;
    const problem = vmm ? await releaseGuest(this.#order.vm, vmm, this.#migration.mayBeFrozen) : null;
    if (this.#destinationTouched)
      await this.#holdings.attempt('clean-up of the destination', () =>
        this.#destination.abort(messageOf(error)),
      );
    this.#letGo();
    const outcome = toUndoneOutcome(problem);
    this.#migration.fail({ error, outcome, guestRecoverable: problem === null });
    await this.#keep();
  }

  #letGo(): void {
    this.#holdings.letGo();
    this.#destination.close();
  }

  #startTimer(): NodeJS.Timeout {
    const { timeoutSeconds = 0 } = this.#migration.toMessage().options ?? {};
    return setTimeout(() => {
      const { activity } = this.#migration.toMessage();
      const message = `The guest did not run on the destination within ${timeoutSeconds} s; last: ${activity}`;
      this.abort(new DeadlineExceeded(message, { reason: 'TIMEOUT' }));
    }, timeoutSeconds * 1000);
  }

  #checkAborted(): void {
    this.#aborting.signal.throwIfAborted();
  }

  /** Writes what is known to disk; a disk that fails now must not disturb the guest. */
  async #keep(): Promise<void> {
    const { store, registry } = this.#services;
    try {
      await store.write(this.#migration.record);
      await registry.save();
    } catch (error) {
      this.#log.event(events.journalFailed, { error });
    }
  }
}
