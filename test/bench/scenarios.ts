import { backgroundOrders } from './background-order.js';
import { demoGuest } from './demo-guest.js';
import type { BenchOptions } from './options.js';
import { randomBurst } from './random-burst.js';
import { rateLimits } from './rate-limit.js';
import type { Scenario } from './scenario.js';
import { stalledPeers } from './stalled-peer.js';

const GIB = 2 ** 30;

/** Everything that `npm run bench` measures. */
export function createScenarios({ stallMs }: Pick<BenchOptions, 'stallMs'>): readonly Scenario[] {
  return [
    demoGuest(GIB / 2),
    demoGuest(2 * GIB),
    ...backgroundOrders(),
    ...rateLimits(),
    ...stalledPeers(stallMs),
    randomBurst(),
  ];
}
