import { UmemdService } from '@umem/api';
import type { Daemon } from '@umem/daemon';
import { options } from './config.js';
import { events } from './events.js';
import { laneDescriptors } from './receive/lane-descriptors.js';
import { registerMetrics } from './metrics.js';
import { findUserfaultfdProblem, UmemSets } from './session/umem-sets.js';
import { createUmemdService } from './umemd-service.js';

/** umemd: supplies the missing pages of incoming VMs. */
export const pageServerDaemon: Daemon<typeof options> = {
  name: 'umem-page-server',
  description: 'Supplies the missing pages of VMs that arrive on this host',
  options,
  start({ config, log, metrics, stateDir }) {
    const laneFds = config.laneFds ?? [];
    laneDescriptors.adopt(laneFds);
    const problem = findUserfaultfdProblem();
    if (problem) log.event(events.userfaultfdUnavailable, { problem });
    const sets = new UmemSets({
      stateDir,
      log,
      maxUmems: config.maxUmems,
      maxRamBytes: config.maxRam,
      maxReleased: config.maxReleased,
      timing: {
        connectTimeoutMs: config.connectTimeout,
        maxReconnectDelayMs: config.maxReconnectDelay,
        maxRefusals: config.maxRefusals,
        handoffTimeoutMs: config.handoffTimeout,
        quitTimeoutMs: config.quitTimeout,
      },
    });
    registerMetrics(metrics, sets);
    const implementation = createUmemdService({ sets, maxBackgroundLanes: config.maxBackgroundLanes });
    return Promise.resolve({
      services: [{ definition: UmemdService, implementation }],
      stop: async () => {
        sets.stop();
        laneDescriptors.close(laneFds);
      },
    });
  },
};
