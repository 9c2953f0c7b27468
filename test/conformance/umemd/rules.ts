import type { Rule } from '../rule.js';
import { batchRules } from './batch-rules.js';
import { cacheRules } from './cache-rules.js';
import { completionRules } from './completion-rules.js';
import { controlRules } from './control-rules.js';
import { faultRules } from './fault-rules.js';
import { flowRules } from './flow-rules.js';
import { handoffRules } from './handoff-rules.js';
import { hugeRules } from './huge-rules.js';
import { laneRules } from './lane-rules.js';
import { mappingRules } from './mapping-rules.js';
import { placedRules } from './placed-rules.js';
import { randomRules } from './random-rules.js';
import { recoveryRules } from './recovery-rules.js';
import { removeRules } from './remove-rules.js';
import { setRules } from './set-rules.js';
import { touchRules } from './touch-rules.js';
import type { UmemdContext } from './umemd-context.js';

/** All rules for a page server. */
export const umemdRules: readonly Rule<UmemdContext>[] = [
  ...setRules,
  ...handoffRules,
  ...laneRules,
  ...faultRules,
  ...flowRules,
  ...batchRules,
  ...removeRules,
  ...mappingRules,
  ...hugeRules,
  ...cacheRules,
  ...touchRules,
  ...placedRules,
  ...recoveryRules,
  ...controlRules,
  ...completionRules,
  ...randomRules,
];
