import type { Logger } from '@umem/daemon';
import { events } from '../events.js';
import type { VmmControl } from '../launch/vmm-control.js';
import type { IncomingParts } from './incoming-parts.js';

/**
 * Undoes an incoming VM whose guest has never run. Deleting the umem set goes beside ending the VMM,
 * because a VMM that is stuck in a fault can only quit when its memory is let go.
 */
export async function cleanUp(
  name: string,
  parts: IncomingParts,
  vmm: VmmControl,
  log: Logger,
): Promise<void> {
  await Promise.all([
    attempt('umem set', name, log, () => parts.link.delete({ guestNeverRan: true })),
    attempt('VMM', name, log, () => vmm.end()),
  ]);
  await removeFiles(name, parts, log);
  log.event(events.incomingCleanedUp, { vm: name });
}

/** Removes what a VMM leaves behind that has exited after its guest was resumed. */
export async function releaseRemains(name: string, parts: IncomingParts, log: Logger): Promise<void> {
  await attempt('umem set', name, log, async () => {
    parts.link.vmmGone();
    // The page server sees for itself that nobody is left who could read zeros for missing pages.
    await parts.link.delete({ guestNeverRan: false });
  });
  await removeFiles(name, parts, log);
  log.event(events.ramReleased, { vm: name, ramBytes: parts.ram.sizeBytes });
}

async function removeFiles(name: string, { ram, run }: IncomingParts, log: Logger): Promise<void> {
  await attempt('RAM files', name, log, () => ram.remove());
  await attempt('run directory', name, log, () => run.remove());
}

/** One step; its failure is reported and keeps no other step from being done. */
async function attempt(step: string, name: string, log: Logger, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    log.event(events.cleanUpStepFailed, { vm: name, step, error });
  }
}
