import {
  formatAddress,
  LaneServerService,
  MigrationServiceService,
  VmServiceService,
  type Address,
} from '@umem/api';
import type { Daemon, RunningService } from '@umem/daemon';
import { Cancelled, HostPrecondition } from '@umem/errors';
import { toBackgroundListen } from './background-listen.js';
import { options } from './config.js';
import { events } from './events.js';
import { registerMetrics } from './metrics.js';
import { createMigrationService } from './migration/migration-service.js';
import { MigrationStore } from './migration/migration-store.js';
import { Migrations } from './migration/migrations.js';
import { adoptSockets, InheritedLanes } from './serve/inherited-lanes.js';
import { SourceSessions } from './serve/source-sessions.js';
import { createVmService } from './vm/vm-service.js';
import { VmRegistry } from './vm/vm-registry.js';

/** umem-source-agent: where guests leave from. */
export const sourceAgentDaemon: Daemon<typeof options> = {
  name: 'umem-source-agent',
  description: "Moves this host's virtual machines to other hosts and serves their memory while they move",
  options,
  async start({ config, log, metrics, stateDir }): Promise<RunningService> {
    const { maxLanes, maxMigrations, maxVms, keepFinished, backgroundWorkers: workers } = config;
    const inherited = adoptSockets(config.serveFds ?? []);
    const followsFaults = config.backgroundOrder === 'faults';
    const workerListen = toBackgroundListen(config, stateDir);
    const sessions = await SourceSessions.start({ maxLanes, followsFaults, workers, workerListen, log });
    log.event(events.workersListening, { addresses: sessions.workerAddresses.map(formatAddress) });
    const inheritedLanes = new InheritedLanes(inherited, sessions, log);

    const registry = await VmRegistry.open({ stateDir, maxVms, log });
    const store = await MigrationStore.open(stateDir, log);
    let listen: Address | null = null;
    const addresses = () => {
      if (!listen) throw new HostPrecondition('The source-agent does not listen yet: ask again');
      return { listen, advertise: config.advertise ?? null, workers: sessions.workerAddresses };
    };
    const migrations = await Migrations.open({
      ...{ registry, sessions, store, stateDir, log },
      ...{ maxMigrations, keepFinished, addresses },
    });
    registerMetrics(metrics, { registry, migrations, sessions });

    return {
      services: [
        { definition: LaneServerService, implementation: sessions.laneServer },
        { definition: MigrationServiceService, implementation: createMigrationService(migrations) },
        { definition: VmServiceService, implementation: createVmService(registry) },
      ],
      listening(address) {
        listen = address;
        // For the log alone: nobody waits for VMMs that do not answer.
        void registry.reportAll();
      },
      async stop() {
        await migrations.stop();
        await sessions.stop(new Cancelled('The source-agent has stopped'));
        inheritedLanes.stop();
      },
    };
  },
};
