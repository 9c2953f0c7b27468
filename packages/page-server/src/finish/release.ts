import type { Logger } from '@umem/daemon';
import { events } from '../events.js';
import type { PlacedConfirmer } from '../receive/placed-confirmer.js';
import type { SourceLink } from '../receive/source-link.js';
import type { ControlPipe } from '../session/control-pipe.js';
import type { GuestMemory } from '../session/guest-memory.js';
import type { Toucher } from '../session/toucher.js';

/** Milliseconds the source has to end a lane after EOC. */
const EOC_TIMEOUT_MS = 5_000;

export interface ReleaseParts {
  readonly guest: GuestMemory;
  readonly link: SourceLink;
  readonly control: ControlPipe;
  readonly touches: Toucher | null;
  readonly confirmer: PlacedConfirmer;
  readonly log: Logger;
  /** Milliseconds the VMM side has to answer QUIT. */
  readonly quitTimeoutMs: number;
}

/**
 * The end of a set in which every page has arrived: the memory becomes plain, the source may let go, the
 * VMM side hears of it. Only the first step can fail; a peer that does not answer keeps nobody.
 */
export async function release(parts: ReleaseParts): Promise<void> {
  const { guest, link, control, touches, confirmer, log, quitTimeoutMs } = parts;
  await touches?.drain(quitTimeoutMs);
  touches?.stop();
  await guest.unregister();
  confirmer.flush();
  for (const problem of await link.finish(EOC_TIMEOUT_MS)) log.event(events.laneNotClosed, { problem });
  link.close();
  if (!(await control.quit(quitTimeoutMs))) log.event(events.quitUnanswered, { quitTimeoutMs });
  control.end();
  guest.close();
}
