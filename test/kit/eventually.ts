import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;

/**
 * Waits for something that nobody announces: asks again and again until `probe` answers anything
 * but null. Rejects after `timeoutMs`, naming what was waited for.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | null> | T | null,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== null) return found;
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`);
    await delay(POLL_MS);
  }
}

/** The same for a condition. */
export async function eventuallyTrue(
  what: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs?: number,
): Promise<void> {
  await eventually(what, async () => ((await condition()) ? true : null), timeoutMs);
}
