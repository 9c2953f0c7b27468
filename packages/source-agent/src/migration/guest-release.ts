import { messageOf } from '@umem/errors';
import type { Vmm } from '@umem/vmm';
import type { RegisteredVm } from '../vm/registered-vm.js';

/** How long the VMM may take to answer on a new connection. */
const RECONNECT_TIMEOUT_MS = 5_000;

/**
 * Gives the source guest back before the point of no return: what was prepared is undone and the
 * guest runs if it may have been stopped for the migration. `vmm`: the connection that prepared it,
 * or null when that is lost. Null when it worked, else what a person must know.
 */
export async function releaseGuest(
  vm: RegisteredVm,
  vmm: Vmm | null,
  mayBeFrozen: boolean,
): Promise<string | null> {
  let problem = '';
  if (vmm) {
    try {
      await vmm.cancelSave();
      return null;
    } catch (error) {
      problem = messageOf(error);
    }
  }
  if (!mayBeFrozen) return vmm ? `The VMM's settings could not be put back: ${problem}` : null;
  try {
    await vm.vmm.use(runAgain, RECONNECT_TIMEOUT_MS);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

async function runAgain(vmm: Vmm): Promise<void> {
  // A save that was cut off ends by itself once its socket is gone.
  await vmm.cancelSave();
  if ((await vmm.runState()) !== 'running') await vmm.resume();
}

/** What an undone migration means for the guest, and what to do. `problem`: of `releaseGuest`. */
export function toUndoneOutcome(problem: string | null): string {
  return problem === null
    ? 'The guest goes on as before on the source; nothing is lost'
    : `The source VM could not be given back (${problem}): look at it and run it by hand (QMP cont)`;
}
