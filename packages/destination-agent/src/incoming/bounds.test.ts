import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Lab } from '../testing/lab.js';

const MIB = 1 << 20;
/** A peer that has taken nothing for so long holds its client back. */
const HELD_BACK_MS = 1_000;

let lab: Lab;
beforeEach(async () => {
  lab = await Lab.start();
});
afterEach(() => lab.close());

it('device state for a VMM that does not read is left with the source', async () => {
  const { vmmPid } = await lab.bring('vm1', 'CONNECTED');
  process.kill(vmmPid, 'SIGSTOP');
  const { stream, answer } = lab.openLoad();
  stream.write({ name: 'vm1', migrationId: 'mig-1', data: Buffer.alloc(0) });
  const data = Buffer.alloc(MIB, 'state');
  let takenMiB = 0;
  for (let isFull = false; !isFull && takenMiB < 256; takenMiB++) {
    if (stream.write({ name: '', migrationId: '', data })) continue;
    const drained = once(stream, 'drain').then(() => true);
    isFull = !(await Promise.race([drained, delay(HELD_BACK_MS, false)]));
  }
  expect(takenMiB).toBeLessThan(64);
  stream.cancel();
  await expect(answer).rejects.toThrow();
});
