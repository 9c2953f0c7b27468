import type { LaneTarget } from '@umem/api';
import { StateMachine, Watchable, type Logger } from '@umem/daemon';
import { Cancelled, HostPrecondition, messageOf, PeerUnavailable, WrongState } from '@umem/errors';
import { events } from '../events.js';
import type { FaultTable } from '../fault/fault-table.js';
import { release } from '../finish/release.js';
import { handoffSocketPath } from '../handoff/handoff-listener.js';
import { requireNoHugePages } from '../handoff/huge-page-risk.js';
import { UmemMemory } from '../place/umem-memory.js';
import type { LaneLoss } from '../receive/lane-loss.js';
import { toPageLoss } from '../receive/page-loss.js';
import { SourceLink } from '../receive/source-link.js';
import type { RequestLane } from '../request/demand-sender.js';
import { BEFORE_ARMED, GUEST_MAY_RUN, UMEM_STATES, type UmemStateName } from '../umem-state.js';
import { ControlPipe, type ControlStream } from './control-pipe.js';
import { GuestMemory, vmmGone } from './guest-memory.js';
import { Intake } from './intake.js';
import { checkNamedPages, type NamedPages } from './named-pages.js';
import { PageFlow } from './page-flow.js';
import { Toucher } from './toucher.js';
import type { UmemSetSettings } from './umem-set-settings.js';
import { VmmWatch } from './vmm-watch.js';

/**
 * All RAM blocks of one incoming VM, from the handoff until the memory is plain. This file is the table
 * of contents of a set's life; each step is in the folder that it belongs to. Main event loop only.
 */
export class UmemSet {
  readonly name: string;
  readonly handoffSocketPath: string;
  readonly memory: UmemMemory;
  /** Notified at each change of state; ended when the set is. */
  readonly changes = new Watchable<UmemSet>(this);
  /** Set once, when the set fails. */
  error = '';

  readonly #settings: UmemSetSettings;
  readonly #log: Logger;
  readonly #machine: StateMachine<UmemStateName>;
  readonly #guest: GuestMemory;
  readonly #intake: Intake;
  readonly #flow: PageFlow;
  readonly #link: SourceLink;
  readonly #control: ControlPipe;
  /** Null unless touching was asked for. */
  readonly touches: Toucher | null;
  readonly #vmmWatch: VmmWatch;
  #wasArmed = false;
  #ended = false;

  /** Opens the handoff socket. Throws what that throws, and leaves nothing behind. */
  constructor(settings: UmemSetSettings) {
    const { name, blocks, stateDir, log, timing } = settings;
    const subject = `umem ${name}`;
    this.name = name;
    this.#settings = settings;
    this.#log = log.child({ umem: name });
    this.memory = UmemMemory.create(blocks);
    this.#machine = new StateMachine({
      subject,
      initial: 'AWAITING_HANDOFF',
      table: UMEM_STATES,
      onTransition: (from, to, reason) => {
        this.#log.event(events.stateChanged, { from, to, reason });
        this.changes.notify();
      },
    });
    this.#guest = new GuestMemory({
      blocks,
      cache: settings.cache,
      gate: this.memory.gate,
      targetChanged: () => this.#link.giveMemory(() => this.#guest.duplicateTarget()),
    });
    this.#flow = new PageFlow(this.memory, this.#guest, {
      complete: () => this.#complete(),
      broken: (error) => this.#fail(error),
      notice: (what, facts) => this.#log.event(NOTICES[what], facts),
      paused: (paused) =>
        this.#log.event(paused ? events.faultReadingPaused : events.faultReadingResumed, {
          pending: this.pendingRequests,
        }),
      choked: (choked) => {
        this.#log.event(choked ? events.lanesPaused : events.lanesResumed);
        this.#link.pause(choked);
      },
      dropped: () => this.#link.pagesDropped(),
    });
    const { batches: placer, placement } = this.#flow;
    this.#link = new SourceLink(
      {
        subject,
        memory: this.memory,
        placer,
        placement,
        isWaitedFor: (blockId, pgoff) => this.faults.isWaitedFor(blockId, pgoff),
        ...timing,
      },
      {
        flowing: (lane) => this.#flowing(lane),
        lost: (loss) => this.#laneLost(loss),
        recovering: (generation) => this.#machine.transition('RECOVERING', `connection ${generation}`),
        hopeless: (loss) => this.#fail(toPageLoss(this.memory, loss)),
        missingAfterEos: (pages) => this.#log.event(events.missingAfterEos, { pages }),
      },
    );
    this.#control = new ControlPipe(subject, {
      ready: () => this.#arm(),
      quit: () => this.#vmmQuits(),
      touched: (pages) => this.#touched(pages),
      unmapped: (pages) => this.#giveUp(pages),
      lost: () => this.#controlLost(),
    });
    this.touches = settings.touch
      ? new Toucher(subject, this.memory, (pages) => this.#control.sendTouch(pages))
      : null;
    this.handoffSocketPath = handoffSocketPath(stateDir, name);
    this.#intake = new Intake({
      ...settings,
      log: this.#log,
      path: this.handoffSocketPath,
      guest: this.#guest,
      faults: this.#flow.handler,
      requireOpen: () =>
        this.#machine.require(
          settings.cache ? [...BEFORE_ARMED, ...GUEST_MAY_RUN] : ['AWAITING_HANDOFF'],
          'all its memory has been handed over',
        ),
      taken: () => this.#handedOver(),
    });
    this.#vmmWatch = new VmmWatch(this.#guest, () => this.#vmmIsGone());
  }

  get state(): UmemStateName {
    return this.#machine.current;
  }

  get lanesConnected(): boolean {
    return this.#link.isConnected;
  }

  get migrationId(): string {
    return this.#link.migrationId;
  }

  get faults(): FaultTable {
    return this.#flow.faults;
  }

  get pendingRequests(): number {
    return this.#flow.pendingRequests;
  }

  get recoveries(): number {
    return this.#link.recoveries;
  }

  /** See Umemd.ConnectUmem. */
  async connect(target: LaneTarget, confirmPlaced: boolean): Promise<void> {
    // After a loss that nothing else can mend it is connected once more.
    if (!this.#link.isStranded) this.#machine.require(BEFORE_ARMED, 'lanes are connected once');
    try {
      if (confirmPlaced) this.#flow.confirmer.enable();
      await this.#link.connect(target, confirmPlaced);
    } catch (error) {
      // The set failed meanwhile and took its lanes along: that is the reason, not the lanes.
      throw this.#machine.is('FAILED') ? new HostPrecondition(this.error) : error;
    }
    this.#log.event(events.lanesConnected, { migrationId: target.migrationId });
    this.changes.notify();
  }

  /** Takes the VMM side's stream and tells it where the set stands. Throws AlreadyExists when there is one. */
  attachControl(stream: ControlStream): void {
    this.#control.attach(stream);
    this.touches?.restart();
    this.#log.event(events.controlAttached);
    if (this.#machine.is('FAILED')) this.#control.sendError(this.error, this.memory.remainingPages());
    else if (this.#machine.is('RESIDENT')) this.#control.sendQuit();
    else if (!this.#machine.is('AWAITING_HANDOFF')) this.#control.sendReady(this.state);
  }

  /** See Umemd.DeleteUmem. Throws WrongState where a guest would read zeros for pages that it is missing. */
  async delete(guestNeverRan: boolean): Promise<void> {
    const pagesMayBeMissed =
      this.#machine.is(...GUEST_MAY_RUN) || (this.#machine.is('FAILED') && this.#wasArmed);
    const missing = this.memory.remainingPages();
    if (missing > 0 && pagesMayBeMissed && !guestNeverRan && !this.#guest.isVmmGone())
      throw new WrongState(
        `umem ${this.name}`,
        this.state,
        UMEM_STATE_NAMES.filter((state) => !GUEST_MAY_RUN.includes(state) && state !== 'FAILED'),
        `${missing} pages are missing and a guest may be running; end its VMM first, or vouch with guest_never_ran`,
      );
    this.#letGo();
    try {
      if (!this.#guest.isVmmGone()) await this.#guest.unregister();
    } catch (error) {
      // It has exited meanwhile, and what it had registered with it.
      if (!this.#guest.isVmmGone()) throw error;
    }
    this.#guest.close();
  }

  /** The page server goes away: the memory stays registered, and faults wait as long as the VMM holds its descriptor. */
  stop(): void {
    this.#letGo();
    this.#guest.close();
  }

  #letGo(): void {
    this.#ended = true;
    this.touches?.stop();
    this.#vmmWatch.stop();
    this.#flow.close();
    this.#link.close();
    this.#control.end();
    this.#intake.close();
    this.changes.end();
  }

  #handedOver(): void {
    if (!this.#machine.is('AWAITING_HANDOFF') || !this.#intake.isComplete) return;
    this.#machine.transition('HANDED_OFF', 'every block has a userfaultfd');
    this.#control.sendReady(this.state);
  }

  /** READY from the VMM side: it is about to load device state, which touches guest RAM. */
  #arm(): void {
    this.#machine.require(['HANDED_OFF'], 'it cannot be armed');
    if (!this.#link.isConnected)
      throw new WrongState(
        `umem ${this.name}`,
        'not connected',
        ['connected'],
        'it cannot be armed without lanes',
      );
    for (const { fd, pid } of this.#settings.cache ? this.#guest.ramFiles() : []) requireNoHugePages(fd, pid);
    this.#wasArmed = true;
    this.#machine.transition('ARMED', 'the VMM side is ready');
    this.#flow.arm();
    try {
      this.#link.arm(() => this.#guest.duplicateTarget());
    } catch (error) {
      return this.#fail(error);
    }
    this.touches?.start();
    this.#control.sendReady(this.state);
  }

  #flowing(lane: RequestLane): void {
    if (this.#machine.is('RECOVERING')) this.#machine.transition('ARMED', 'every lane was accepted again');
    this.#flow.attach(lane);
    this.changes.notify();
  }

  #laneLost(loss: LaneLoss): void {
    this.#log.event(loss.cause === 'batch' ? events.badBatch : events.laneLost, { ...loss });
    this.#flow.detach();
    if (this.#machine.is(...BEFORE_ARMED))
      return this.#fail(
        new PeerUnavailable(`The source ended the ${loss.lane} before the guest was armed: ${loss.message}`),
      );
    if (!this.#machine.is('DETACHED')) this.#machine.transition('DETACHED', `${loss.lane}: ${loss.message}`);
    this.changes.notify();
  }

  #controlLost(): void {
    this.#log.event(events.controlLost);
    if (this.#machine.is(...BEFORE_ARMED))
      this.#fail(
        new PeerUnavailable('The VMM side left before the guest was armed: prepare the migration again'),
      );
  }

  /** QUIT that does not answer ours. When every page is there, it says nothing new. */
  #vmmQuits(): void {
    if (this.#machine.is('RESIDENT')) return;
    this.#fail(new Cancelled(`The VMM side quit with ${this.memory.remainingPages()} pages missing`));
  }

  #touched(pages: NamedPages): void {
    if (!this.touches)
      throw new WrongState(
        `umem ${this.name}`,
        'not touching',
        ['touching'],
        'no TRIGGER_PAGE_FAULT was sent: it was created without postcopy flag 1',
      );
    this.touches.touched(pages);
  }

  #giveUp(pages: NamedPages): void {
    checkNamedPages(pages, this.memory);
    // The answer to a touching request may come after the last page.
    if (!this.touches || !this.#machine.is('RESIDENT')) {
      this.#machine.require(GUEST_MAY_RUN, 'pages are given up by a running guest only');
      this.#flow.giveUp(pages.blockId, pages.pgoffs);
    }
    this.touches?.unmapped(pages);
  }

  /** Called by whoever settled the last page, in any thread, once. */
  #complete(): void {
    if (this.#ended || this.#machine.isFinal) return;
    this.#machine.transition('RESIDENT', 'every page has arrived or was given up');
    this.#flow.stopAsking();
    this.#link.stopRecovering();
    release({
      guest: this.#guest,
      link: this.#link,
      control: this.#control,
      touches: this.touches,
      confirmer: this.#flow.confirmer,
      log: this.#log,
      quitTimeoutMs: this.#settings.timing.quitTimeoutMs,
    }).then(
      () => this.#released(),
      (error: unknown) => this.#fail(error),
    );
  }

  #released(): void {
    if (this.#ended || this.#machine.isFinal) return;
    this.#machine.transition('RELEASED', 'the memory is plain');
    this.#letGo();
  }

  #vmmIsGone(): void {
    // Every page is there: the VMM's end is no business of the migration any more.
    if (this.#machine.is('RESIDENT')) return;
    if (this.#machine.isFinal) this.#freeVmm();
    else this.#fail(vmmGone());
  }

  #freeVmm(): void {
    this.#vmmWatch.stop();
    this.#guest.close();
  }

  /** Everything that cannot be mended. The memory stays registered while the VMM lives: faults wait, and read no zeros. */
  #fail(error: unknown): void {
    if (this.#ended || this.#machine.isFinal) return;
    this.error = messageOf(error);
    const missing = this.memory.remainingPages();
    this.#log.event(events.umemFailed, { error, missingPages: missing });
    this.#machine.transition('FAILED', this.error);
    this.touches?.stop();
    this.#flow.detach();
    this.#link.close();
    this.#intake.close();
    this.#control.sendError(this.error, missing);
    this.changes.end();
    if (!this.#guest.isEmpty && this.#guest.isVmmGone()) this.#freeVmm();
  }
}

const UMEM_STATE_NAMES = Object.keys(UMEM_STATES) as UmemStateName[];

const NOTICES = {
  discardedEarly: events.mappingDiscardedEarly,
  unmapped: events.mappingRemoved,
  moved: events.mappingMoved,
  forkFollowed: events.forkFollowed,
  forkIgnored: events.forkIgnored,
} as const;
