import type { Rule } from '../rule.js';
import { backgroundRules } from './background-rules.js';
import { changeRules } from './change-rules.js';
import { completionRules } from './completion-rules.js';
import { endingRules } from './ending-rules.js';
import { initRules } from './init-rules.js';
import { migrationRules } from './migration-rules.js';
import { randomRules } from './random-rules.js';
import { receivedRules } from './received-rules.js';
import { releaseRules } from './release-rules.js';
import { removeRules } from './remove-rules.js';
import { requestRules } from './request-rules.js';
import { servingRules } from './serving-rules.js';
import type { SourceContext } from './source-context.js';

/** All rules for a source; those that the guest does not come back from are last. */
export const sourceRules: readonly Rule<SourceContext>[] = [
  ...initRules,
  ...requestRules,
  ...servingRules,
  ...receivedRules,
  ...removeRules,
  ...endingRules,
  ...migrationRules,
  ...releaseRules,
  ...changeRules,
  ...backgroundRules,
  ...randomRules,
  ...completionRules,
];
