import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { HostPrecondition, UmemError } from '@umem/errors';
import type { Vmm } from '@umem/vmm';
import { untilAborted } from './until-aborted.js';

/** How long a VMM that closed its device state socket may take to say why, in milliseconds. */
const EXPLANATION_MS = 1_000;

/**
 * Writes device state to the VMM, no faster than it reads, and resolves with its length when the VMM
 * has loaded it and waits, stopped. Rejects with the signal's reason, with what `bytes` throws, and
 * with the VMM's own words when it fails.
 */
export async function feedVmm(
  vmm: Vmm,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<number> {
  let length = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      length += chunk.length;
      onProgress();
      yield chunk;
    }
  }
  try {
    await pipeline(counted(), await vmm.openDeviceState(), { signal });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof UmemError) throw cause;
    // The VMM hung up on us; it knows why.
    await Promise.race([vmm.loaded(), delay(EXPLANATION_MS, undefined, { ref: false })]);
    throw new HostPrecondition(
      `The VMM stopped reading device state after ${length} bytes; its log says why`,
      {
        cause,
      },
    );
  }
  await untilAborted(vmm.loaded(), signal);
  return length;
}
