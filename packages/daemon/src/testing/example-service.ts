import type { handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import { streaming, unary, UmemdService, UmemState, type Umem } from '@umem/api';
import { HostPrecondition, InvalidArgument, NotFound } from '@umem/errors';
import { Counter } from 'prom-client';
import { z } from 'zod';
import { commonOptions } from '../config/common-options.js';
import { defineOptions } from '../config/option.js';
import { bytes, durationMs, listOf, name } from '../config/values.js';
import type { Daemon } from '../daemon.js';
import { Watchable } from '../state/watchable.js';

/** Options with one of each kind. */
export const exampleOptions = defineOptions({
  listen: { ...commonOptions.listen, default: '127.0.0.1:0' },
  maxBandwidth: {
    flag: 'max-bandwidth',
    metavar: 'bytes/s',
    description: 'Limit of background lanes',
    schema: bytes({ min: 1 }).optional(),
  },
  vms: { flag: 'vms', description: 'Names of VMs', schema: listOf(name()), default: 'vm1,vm2' },
  adminToken: {
    flag: 'admin-token',
    description: 'A secret',
    schema: z.string().min(8).optional(),
    secret: true,
  },
  fail: {
    flag: 'fail',
    description: 'How to fail at the start',
    schema: z.enum(['usage', 'precondition', 'bug', 'never']),
    default: 'never',
  },
  stopTakes: { flag: 'stop-takes', description: 'How long a stop takes', schema: durationMs(), default: '0' },
});

const UMEM: Umem = {
  name: 'vm1',
  state: UmemState.ARMED,
  blocks: [],
  handoffSocketPath: '',
  lanesConnected: true,
  stats: undefined,
  error: '',
  migrationId: '',
};

/** A daemon for the tests of what all daemons have. */
export const exampleDaemon: Daemon<typeof exampleOptions> = {
  name: 'umem-example',
  description: 'Shows what every daemon does.',
  options: exampleOptions,
  async start({ config, metrics, log }) {
    if (config.fail === 'usage') throw new InvalidArgument('--fail usage does not go with --vms');
    if (config.fail === 'precondition') throw new HostPrecondition('This host has no userfaultfd: load it');
    if (config.fail === 'bug') throw new TypeError('undefined is not a function');
    const gets = new Counter({ name: 'umem_example_gets_total', help: 'Gets', registers: [metrics] });
    const getUmem: handleUnaryCall<{ name: string }, Umem> = unary(({ name: asked }) => {
      gets.inc();
      if (asked === 'throw')
        setImmediate(() => {
          throw new Error('boom');
        });
      if (asked === 'reject') void Promise.reject(new Error('unheard'));
      throw new NotFound(`There is no umem "${asked}"`);
    });
    const listUmems: handleUnaryCall<unknown, { umems: Umem[] }> = unary(() => ({ umems: [] }));
    // One answer and no end: a call that only the client or a forced stop ends.
    const watchUmem: handleServerStreamingCall<unknown, Umem> = streaming(async function* (_, signal) {
      yield* new Watchable(UMEM).subscribe(60_000, signal);
    });
    return {
      services: [{ definition: UmemdService, implementation: { getUmem, listUmems, watchUmem } }],
      listening: (address) => log.event({ name: 'told', level: 'info', message: 'Told' }, { address }),
      stop: () => new Promise((resolve) => setTimeout(resolve, config.stopTakes)),
    };
  },
};
