import type { AccessMode, GuestTick } from '@umem/vmm';
import { formatBytes } from '@umem/ram';
import { ProcessMove } from '../kit/process-move.js';
import { faultMetrics, requireIntact } from './fault-metrics.js';
import { lostMs, speedOf, timeToSpeedMs } from './guest-speed.js';
import type { Measurement, Scenario } from './scenario.js';
import { withLab } from './with-lab.js';

const MIB = 2 ** 20;
const RAM_BYTES = 256 * MIB;
/** Slow enough that the order matters, as on a link that others use, too. */
const BYTES_PER_SECOND = 64 * MIB;
const TICK_MS = 20;
/** Ticks of full speed before the guest moves, and after: a second each. */
const TICKS_PER_SECOND = 1000 / TICK_MS;

const ORDERS = ['sequential', 'faults'] as const;
const MODES = ['sequential', 'random', 'zipf', 'strided'] as const;

/** Each kind of guest with both orders: the plain one is what the other is compared with. */
export function backgroundOrders(): Scenario[] {
  return MODES.flatMap((mode) =>
    ORDERS.map((order): Scenario => {
      const name = (of: string): string => `background order ${of}, ${mode} guest`;
      const scenario = {
        name: name(order),
        description:
          `A process guest of ${formatBytes(RAM_BYTES)} with ${mode} accesses moves with ` +
          `--background-order ${order} and ${formatBytes(BYTES_PER_SECOND)} of background per second.`,
        ramBytes: RAM_BYTES,
        round: () => measure(mode, order),
      };
      return order === 'sequential' ? scenario : { ...scenario, baseline: name('sequential') };
    }),
  );
}

function measure(mode: AccessMode, order: (typeof ORDERS)[number]): Promise<Measurement> {
  return withLab(async (lab) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [RAM_BYTES],
      // It sleeps between operations, so that it is slow for want of pages and not of processors.
      workload: { mode, threads: 2, thinkUs: 100, tickMs: TICK_MS },
      flags: { source: { sourceAgent: ['--background-order', order] } },
    });
    const after = await move.makeReady();
    const before: GuestTick[] = [];
    move.guest.watchTicks((tick) => before.push(tick));
    await move.guest.waitForTick(() => before.length > TICKS_PER_SECOND);
    const fullSpeed = speedOf(before);
    const life: GuestTick[] = [];
    after.watchTicks((tick) => life.push(tick));
    const report = await move.migrate('-p', '--max-bandwidth', String(BYTES_PER_SECOND));
    // Its last sign of life on the source, and the first one when all was over.
    const left = before.at(-1);
    const settled = await after.waitForTick();
    await after.waitForTick(({ seq }) => seq > settled.seq + TICKS_PER_SECOND);
    if (left === undefined) throw new Error('The guest said nothing before it moved');
    const measured = {
      ...faultMetrics(report),
      to90PercentMs: timeToSpeedMs(life, { fromUs: left.atUs, fullSpeed, share: 0.9 }),
      lostMs: lostMs(left, settled, fullSpeed),
      totalMs: report.totalMs,
      opsPerSecond: fullSpeed,
      duplicatePages: report.pages.duplicate,
    };
    await requireIntact(after);
    return measured;
  });
}
