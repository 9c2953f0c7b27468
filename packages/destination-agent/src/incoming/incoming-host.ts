import type { Logger } from '@umem/daemon';
import type { AgentConfig } from '../config.js';
import type { Metrics } from '../metrics.js';

/** What an incoming VM needs of its agent. */
export interface IncomingHost {
  readonly config: AgentConfig;
  readonly log: Logger;
  readonly metrics: Metrics;
}
