import type { Rule } from '../rule.js';
import { batchRules } from './batch-rules.js';
import { completionRules } from './completion-rules.js';
import { controlRules } from './control-rules.js';
import { faultRules } from './fault-rules.js';
import { flowRules } from './flow-rules.js';
import { handoffRules } from './handoff-rules.js';
import { laneRules } from './lane-rules.js';
import { recoveryRules } from './recovery-rules.js';
import { removeRules } from './remove-rules.js';
import { setRules } from './set-rules.js';
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
  ...recoveryRules,
  ...controlRules,
  ...completionRules,
];
