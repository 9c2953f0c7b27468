import { events } from '../events.js';
import type { FaultListener } from '../fault/fault-reader.js';
import type { Handoff } from '../handoff/handoff-connection.js';
import { HandoffListener } from '../handoff/handoff-listener.js';
import { readHandoff } from '../handoff/handoff-message.js';
import { requireNoHugePages } from '../handoff/huge-page-risk.js';
import type { GuestMemory } from './guest-memory.js';
import type { UmemSetSettings } from './umem-set-settings.js';

export interface IntakeSettings extends UmemSetSettings {
  /** Path of the handoff socket. */
  readonly path: string;
  readonly guest: GuestMemory;
  /** Told of what the userfaultfds of a handoff say. */
  readonly faults: FaultListener;
  /** Throws WrongState when memory cannot be taken over any more. */
  requireOpen(): void;
  /** Memory was taken over. */
  taken(): void;
}

/** Takes over what VMMs hand over for one umem set, and refuses what does not fit. Main event loop only. */
export class Intake {
  readonly #settings: IntakeSettings;
  readonly #listener: HandoffListener;

  /** Opens the handoff socket. Throws what that throws, and leaves nothing behind. */
  constructor(settings: IntakeSettings) {
    const { path, stateDir, vmmUserId, timing, log } = settings;
    this.#settings = settings;
    this.#listener = new HandoffListener({
      path,
      stateDir,
      vmmUserId,
      allowedUids: [process.geteuid?.() ?? 0, ...(vmmUserId === undefined ? [] : [vmmUserId])],
      timeoutMs: timing.handoffTimeoutMs,
      accept: (handoff) => this.#accept(handoff),
      refused: (error, pid, uid) => log.event(events.handoffRefused, { error, pid, uid }),
      failed: (error) => log.event(events.handoffListenerFailed, { error }),
    });
  }

  /** Every block has a userfaultfd. */
  get isComplete(): boolean {
    const { blocks, guest } = this.#settings;
    return blocks.every((block) => guest.isCovered(block));
  }

  close(): void {
    this.#listener.close();
  }

  #accept({ message, uffd, ramFd, pid }: Handoff): { wantsReady: boolean } {
    const { blocks, cache, guest, faults, log } = this.#settings;
    this.#settings.requireOpen();
    const { regions, wantsReady } = readHandoff(message, blocks, guest.known, guest.nextUffd);
    if (cache && ramFd !== null) requireNoHugePages(ramFd, pid);
    guest.add(regions, uffd, ramFd, pid, faults);
    log.event(events.handoffAccepted, {
      pid,
      regions: regions.map(({ blockId, pageCount }) => ({ blockId, pageCount })),
    });
    this.#settings.taken();
    return { wantsReady };
  }
}
