import { eventuallyTrue } from '../kit/eventually.js';

/** How long anything is waited for, in milliseconds: a loaded machine is slow, and no rule is about time. */
export const PATIENCE_MS = 60_000;

/** Waits for something that nobody announces: asks until it is so. Rejects with what was waited for. */
export function untilTrue(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  return eventuallyTrue(what, condition, PATIENCE_MS);
}
