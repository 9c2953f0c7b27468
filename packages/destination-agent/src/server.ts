import { IncomingServiceService } from '@umem/api';
import type { Daemon } from '@umem/daemon';
import { options } from './config.js';
import { events } from './events.js';
import { createIncomingService } from './incoming-service.js';
import { IncomingRegistry } from './incoming/incoming-registry.js';
import { createMetrics, type Gauged } from './metrics.js';
import { PageServer } from './page-server/page-server.js';
import { ownUser, resolveOwner } from './ram/file-owner.js';
import { prepareRamDir } from './ram/ram-dir.js';

/** The destination's half of a migration: RAM files, VMM, device state, resume. */
export const destinationAgentDaemon: Daemon<typeof options> = {
  name: 'umem-destination-agent',
  description: 'Takes virtual machines in that move to this host by post-copy',
  options,
  async start({ config, log, metrics: metricsRegistry }) {
    const owner = config.vmmUser === undefined ? ownUser() : await resolveOwner(config.vmmUser);
    await prepareRamDir(config.ramDir);
    if (config.hugetlbfsDir !== undefined) await prepareRamDir(config.hugetlbfsDir, 'hugetlbfs');
    const pageServer = new PageServer(config.pageServer);
    const gauged: Gauged = {
      stages: () => registry.stages(),
      ramBytes: () => registry.ramBytes(),
    };
    const registry = new IncomingRegistry({ config, log, metrics: createMetrics(metricsRegistry, gauged) });
    log.event(events.agentReady, { ramDir: config.ramDir, pageServer: pageServer.peer, vmmUser: owner.name });
    return {
      services: [
        {
          definition: IncomingServiceService,
          implementation: createIncomingService({ config, log, pageServer, registry, owner }),
        },
      ],
      async stop() {
        await registry.stop();
        pageServer.close();
      },
    };
  },
};
