import { address, defineOptions, descriptors, integer, type CommonConfig, type ConfigOf } from '@umem/daemon';
import { z } from 'zod';

/** What umem-source-agent can be told, beside the options that all daemons have. */
export const options = defineOptions({
  listen: {
    flag: 'listen',
    metavar: 'address',
    description: 'Where to serve gRPC: host:port or unix:PATH; port 0 takes a free one',
    schema: address(),
    default: '127.0.0.1:7001',
  },
  advertise: {
    flag: 'advertise',
    metavar: 'address',
    description: 'Address under which destinations reach this agent; left out: --listen',
    schema: address().optional(),
  },
  backgroundWorkers: {
    flag: 'background-workers',
    metavar: 'count',
    description: 'Threads that push pages in the background, each with its own address',
    schema: integer({ min: 1, max: 64 }),
    default: 1,
  },
  backgroundListen: {
    flag: 'background-listen',
    metavar: 'address',
    description:
      'Where the first background thread serves, the others on the next ports; left out: the host of --listen and free ports, or sockets in --state-dir',
    schema: address().optional(),
  },
  backgroundOrder: {
    flag: 'background-order',
    metavar: 'order',
    description:
      "Which pages are pushed first: faults (those around the guest's newest faults) or sequential (from the start of each block, to measure against)",
    schema: z.enum(['faults', 'sequential']),
    default: 'faults',
  },
  serveFds: {
    flag: 'serve-fds',
    metavar: 'numbers',
    description:
      'Connected sockets that whoever starts this leaves open under these numbers: lanes are served over them, the first for demand, the others by background threads',
    schema: descriptors().optional(),
  },
  maxMigrations: {
    flag: 'max-migrations',
    metavar: 'count',
    description: 'Unfinished migrations at a time',
    schema: integer({ min: 1, max: 1000 }),
    default: 16,
  },
  maxLanes: {
    flag: 'max-lanes',
    metavar: 'count',
    description: 'Lanes that one page server may have, its demand lane included',
    schema: integer({ min: 2, max: 64 }),
    default: 8,
  },
  maxVms: {
    flag: 'max-vms',
    metavar: 'count',
    description: 'VMs that may be registered',
    schema: integer({ min: 1, max: 10_000 }),
    default: 256,
  },
  keepFinished: {
    flag: 'keep-finished',
    metavar: 'count',
    description: 'Finished migrations that are remembered, also over a restart',
    schema: integer({ max: 100_000 }),
    default: 100,
  },
});

export type SourceAgentConfig = ConfigOf<typeof options> & CommonConfig;
