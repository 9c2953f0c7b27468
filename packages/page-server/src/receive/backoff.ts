const FIRST_DELAY_MS = 50;

/**
 * Milliseconds to wait before attempt `attempt` (from 0): doubling up to `maxMs`, spread by half either
 * way, so that the lanes of many VMs do not come back in step.
 */
export function backoffMs(attempt: number, maxMs: number, random: () => number = Math.random): number {
  const full = Math.min(maxMs, FIRST_DELAY_MS * 2 ** Math.min(attempt, 30));
  return full * (0.5 + random());
}
