import { totalmem } from 'node:os';
import {
  address,
  bytes,
  commonOptions,
  defineOptions,
  descriptors,
  durationMs,
  integer,
  path,
} from '@umem/daemon';

const STATE_DIR = '/run/umem/page-server';

/** Options of umem-page-server besides the common ones. */
export const options = defineOptions({
  stateDir: {
    ...commonOptions.stateDir,
    schema: path(),
    default: STATE_DIR,
  },
  listen: {
    ...commonOptions.listen,
    schema: address(),
    default: `unix:${STATE_DIR}/umemd.sock`,
  },
  maxUmems: {
    flag: 'max-umems',
    metavar: 'count',
    description: 'Umem sets at a time, that is VMs that come in at once',
    schema: integer({ min: 1, max: 10_000 }),
    default: 64,
  },
  maxRam: {
    flag: 'max-ram',
    metavar: 'size',
    description: "RAM of all umem sets together; default: this host's memory",
    schema: bytes({ min: 4096 }),
    default: totalmem(),
  },
  maxBackgroundLanes: {
    flag: 'max-background-lanes',
    metavar: 'count',
    description: 'Background lanes of one umem set, each with a thread of its own',
    schema: integer({ min: 0, max: 64 }),
    default: 8,
  },
  laneFds: {
    flag: 'lane-fds',
    metavar: 'numbers',
    description:
      'Connected sockets, one for each lane, that whoever starts this leaves open under these numbers; a source address fd:N means one of them',
    schema: descriptors().optional(),
  },
  maxReleased: {
    flag: 'max-released',
    metavar: 'count',
    description: 'Umem sets that are kept for a look after their migration is complete',
    schema: integer({ max: 10_000 }),
    default: 64,
  },
  connectTimeout: {
    flag: 'connect-timeout',
    metavar: 'duration',
    description: 'How long the source may take to accept a lane',
    schema: durationMs({ min: 10, max: 600_000 }),
    default: '10s',
  },
  maxReconnectDelay: {
    flag: 'max-reconnect-delay',
    metavar: 'duration',
    description: 'Longest wait between attempts to connect lost lanes again',
    schema: durationMs({ min: 10, max: 600_000 }),
    default: '5s',
  },
  maxRefusals: {
    flag: 'max-refusals',
    metavar: 'count',
    description: 'Refusals of the source in a row after which its missing pages are given up as lost',
    schema: integer({ min: 1, max: 1000 }),
    default: 8,
  },
  handoffTimeout: {
    flag: 'handoff-timeout',
    metavar: 'duration',
    description: 'How long a VMM may take to send its handoff once it has connected',
    schema: durationMs({ min: 10, max: 600_000 }),
    default: '10s',
  },
  quitTimeout: {
    flag: 'quit-timeout',
    metavar: 'duration',
    description: 'How long the VMM side may take to answer QUIT when every page has arrived',
    schema: durationMs({ min: 10, max: 600_000 }),
    default: '5s',
  },
});
