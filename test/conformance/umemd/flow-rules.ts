import { setTimeout as delay } from 'node:timers/promises';
import { check, type Rule } from '../rule.js';
import type { UmemdContext } from './umemd-context.js';

/** What umemd may hold of a source that pushes while nothing can be placed. */
const MAX_HELD_MIB = 64;
const FLOOD_MIB = 512;

/** Milliseconds after which a flood that has not moved is held back. */
const STILL_MS = 500;

export const flowRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/flow/before-armed',
    title: 'A source that pushes without end before the set is armed is held back; nothing of it is lost',
    from: 'DESIGN §3: back-pressure, nothing queues without bound',
    async run(context) {
      const set = await context.set({ sizes: { ram0: 1024 } });
      await set.park();
      const { background } = await set.lanes(1);
      const [lane] = background;
      check(lane !== undefined, 'There is no background lane');
      const batch = {
        block_id: 'ram0',
        runs: [{ pgoff: 0, page_count: 256, encoding: 'PAGE_ENCODING_RAW', fill_value: 0 }],
        data: (set.ram.blocks.get('ram0') ?? Buffer.of()).subarray(0, 1 << 20),
      };
      let takenMiB = 0;
      const flood = (async () => {
        for (; takenMiB < FLOOD_MIB; takenMiB++) await lane.batch(batch);
      })();
      flood.catch(() => undefined);
      for (let before = -1; before !== takenMiB && takenMiB < FLOOD_MIB;) {
        before = takenMiB;
        await delay(STILL_MS);
      }
      check(takenMiB <= MAX_HELD_MIB, `umemd has taken ${takenMiB} MiB of pages that it cannot place yet`);
      await context.checkUndisturbed();
      await set.arm();
      await set.touch('ram0', 0);
      await set.touch('ram0', 255);
      await set.touch('ram0', 600);
      return `${takenMiB} MiB were taken`;
    },
  },
];
