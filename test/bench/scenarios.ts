import { demoGuest } from './demo-guest.js';
import type { Scenario } from './scenario.js';

const GIB = 2 ** 30;

/** Everything that `npm run bench` measures. */
export const scenarios: readonly Scenario[] = [demoGuest(GIB / 2), demoGuest(2 * GIB)];
