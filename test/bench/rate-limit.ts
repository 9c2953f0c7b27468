import { setTimeout as delay } from 'node:timers/promises';
import { formatBytes, TARGET_PAGE_SIZE } from '@umem/ram';
import { ProcessMove, reportOf } from '../kit/process-move.js';
import { faultMetrics, requireIntact } from './fault-metrics.js';
import { deviationOf, worstOf, type LimitedTime } from './rate-windows.js';
import type { Measurement, Scenario } from './scenario.js';
import { UmemWatch } from './umem-watch.js';
import { withLab } from './with-lab.js';

const MIB = 2 ** 20;
const RAM_BYTES = 512 * MIB;
/** The second and the third are set while the migration runs; the last one until the end. */
const LIMITS_MIB = [50, 25, 100] as const;
const TIME_PER_LIMIT_MS = 3500;
/** What was on its way by the old limit is through by then. */
const SETTLING_MS = 100;

const UNLIMITED = 'rate limit none';

/** A migration whose limit changes while it runs, and one without a limit. */
export function rateLimits(): Scenario[] {
  const guest = `A process guest of ${formatBytes(RAM_BYTES)} with random accesses moves`;
  return [
    {
      name: UNLIMITED,
      description: `${guest} as fast as it can.`,
      ramBytes: RAM_BYTES,
      round: () => measure(moveUnlimited),
    },
    {
      name: `rate limit ${LIMITS_MIB.join(', ')} MiB`,
      description:
        `${guest} with --max-bandwidth, changed twice by umemctl migration set; deviations are of any second ` +
        'at the page server, from what the limit allows.',
      baseline: UNLIMITED,
      ramBytes: RAM_BYTES,
      round: () => measure(moveLimited),
    },
  ];
}

function measure(moveGuest: (move: ProcessMove) => Promise<Measurement>): Promise<Measurement> {
  return withLab(async (lab) => {
    const move = await ProcessMove.start(lab, {
      blockSizes: [RAM_BYTES],
      workload: { threads: 4, thinkUs: 2000 },
    });
    const after = await move.makeReady();
    const measured = await moveGuest(move);
    await requireIntact(after);
    return measured;
  });
}

async function moveUnlimited(move: ProcessMove): Promise<Measurement> {
  const report = await move.migrate('-p');
  return { ...faultMetrics(report), totalMs: report.totalMs };
}

async function moveLimited(move: ProcessMove): Promise<Measurement> {
  const watch = new UmemWatch(move);
  const [first, ...others] = LIMITS_MIB;
  const migrating = await move.startMigrate('-p', '--max-bandwidth', `${first}MiB`);
  await move.waitForMigration(({ pages }) => pages.background > 0);
  const times = [await hold(first)];
  for (const limit of others) {
    await move.change('set', '--max-bandwidth', `${limit}MiB`);
    times.push(await hold(limit));
  }
  const report = await reportOf(migrating);
  const arrivals = watch.moments.map(({ atMs, backgroundPages }) => ({
    atMs,
    bytes: backgroundPages * TARGET_PAGE_SIZE,
  }));
  const deviations = times.map((time) => deviationOf(arrivals, time));
  const byLimit = deviations.flatMap(({ lowestPercent, highestPercent }, i) => [
    [`lowest${LIMITS_MIB[i]}MiBPercent`, lowestPercent],
    [`highest${LIMITS_MIB[i]}MiBPercent`, highestPercent],
  ]);
  return {
    ...faultMetrics(report),
    totalMs: report.totalMs,
    worstSecondPercent: worstOf(deviations),
    ...(Object.fromEntries(byLimit) as Measurement),
    duplicatePages: report.pages.duplicate,
  };
}

/** Lets a limit that has been set do its work. */
async function hold(limitMib: number): Promise<LimitedTime> {
  const fromMs = performance.now() + SETTLING_MS;
  await delay(TIME_PER_LIMIT_MS - (limitMib === LIMITS_MIB.at(-1) ? TIME_PER_LIMIT_MS / 2 : 0));
  return { fromMs, toMs: performance.now(), bytesPerSecond: limitMib * MIB };
}
