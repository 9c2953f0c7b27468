import { z } from 'zod';
import { defineOptions, type ConfigOf } from './option.js';
import { address, boolean, durationMs, path } from './values.js';
import { LOG_LEVELS } from '../log/logger.js';

/** What every daemon has. A daemon's own table may repeat a key to give it a default of its own. */
export const commonOptions = defineOptions({
  listen: {
    flag: 'listen',
    metavar: 'address',
    description: 'Where to serve gRPC: host:port or unix:PATH; port 0 takes a free one',
    schema: address(),
  },
  stateDir: {
    flag: 'state-dir',
    metavar: 'dir',
    description:
      'Directory for state that outlives the process; made with mode 0700, one daemon per directory',
    schema: path(),
  },
  config: {
    flag: 'config',
    metavar: 'file',
    description: 'YAML file with settings; its keys are the flags in camelCase',
    schema: path().optional(),
  },
  insecure: {
    flag: 'insecure',
    description: 'Serve without TLS on loopback addresses and Unix sockets',
    schema: boolean(),
    default: true,
  },
  insecureNetwork: {
    flag: 'insecure-network',
    description: 'Serve without TLS on any address: whoever reaches it can read guest memory',
    schema: boolean(),
    default: false,
  },
  metricsListen: {
    flag: 'metrics-listen',
    metavar: 'address',
    description: 'Where to serve Prometheus metrics over plain HTTP at /metrics; left out: nowhere',
    schema: address().optional(),
  },
  logLevel: {
    flag: 'log-level',
    metavar: 'level',
    description: `Least level that is logged: ${LOG_LEVELS.join(', ')}`,
    schema: z.enum(LOG_LEVELS),
    default: 'info',
  },
  shutdownGrace: {
    flag: 'shutdown-grace',
    metavar: 'duration',
    description: 'How long a stop waits for work and open calls before it breaks them off',
    schema: durationMs({ max: 3_600_000 }),
    default: '10s',
  },
});

export type CommonOptions = typeof commonOptions;

/** The common options once they are read; `shutdownGrace` in milliseconds. */
export type CommonConfig = ConfigOf<CommonOptions>;
