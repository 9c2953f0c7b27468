import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatAddress, type Address } from '@umem/api';
import { Registry } from 'prom-client';
import type { CommonConfig } from './config/common-options.js';
import { readSettings, type Settings } from './config/config.js';
import type { ConfigOf, Options } from './config/option.js';
import type { Daemon } from './daemon.js';
import { events } from './events.js';
import { createLogger, type Logger } from './log/logger.js';
import { createCallMetrics } from './server/call-metrics.js';
import { GrpcServer } from './server/grpc-server.js';
import { checkListenRule } from './server/listen-rule.js';
import { serveMetrics, type MetricsEndpoint } from './server/metrics-endpoint.js';
import { stopInTime, type Shutdown } from './server/shutdown.js';
import { prepareStateDir } from './state/state-dir.js';
import { lockStateDir } from './state/state-dir-lock.js';

/** In the state directory: where the daemon that owns it serves gRPC, for scripts that asked for port 0. */
const ADDRESS_FILE = 'address';

export interface StartSettings {
  /** Default: JSON lines on stderr at the configured level. */
  readonly log?: Logger;
}

/** A daemon that serves. */
export interface StartedDaemon {
  /** Where it serves gRPC, with the real port; what `<state-dir>/address` says. */
  readonly address: string;
  /** Where it serves metrics; null when it does not. */
  readonly metricsAddress: string | null;
  /** Stops as SIGTERM does; calling it again waits for the same stop. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon in this process, with settings as a configuration file has them. Throws ConfigError,
 * HostPrecondition, and what the daemon's `start` throws.
 */
export async function startDaemon<O extends Options>(
  daemon: Daemon<O>,
  settings: Settings<O>,
  { log }: StartSettings = {},
): Promise<StartedDaemon> {
  const config = readSettings(daemon, settings);
  return startWithConfig(
    daemon,
    config,
    log ?? createLogger({ service: daemon.name, level: config.logLevel }),
  );
}

/** As `startDaemon`, with a configuration that was read already. */
export async function startWithConfig<O extends Options>(
  daemon: Daemon<O>,
  config: ConfigOf<O> & CommonConfig,
  log: Logger,
): Promise<StartedDaemon> {
  const { listen, stateDir, metricsListen } = config;
  if (checkListenRule(config)) log.event(events.insecureNetwork, { address: formatAddress(listen) });
  await prepareStateDir(stateDir);
  const lock = await lockStateDir(stateDir);
  let endpoint: MetricsEndpoint | null = null;
  const letGo = async (): Promise<void> => {
    await endpoint?.close();
    await lock.release();
  };
  try {
    // Of a process that was killed: nobody shall dial it while this one starts.
    await rm(join(stateDir, ADDRESS_FILE), { force: true });
    const metrics = new Registry();
    endpoint = metricsListen ? await serveMetrics(metricsListen, metrics) : null;
    const server = new GrpcServer([createCallMetrics(metrics)]);
    const service = await daemon.start({ config, log, metrics, stateDir });
    const shutdown = { server, service, graceMs: config.shutdownGrace, log };
    const address = await serve(shutdown, listen, stateDir);
    const metricsAddress = endpoint && formatAddress(endpoint.address);
    log.event(events.listening, { address, metricsAddress, stateDir });

    const stop = async (): Promise<void> => {
      log.event(events.stopping, { graceMs: shutdown.graceMs });
      await Promise.all([stopInTime(shutdown), rm(join(stateDir, ADDRESS_FILE), { force: true })]);
      await letGo();
      log.event(events.stopped);
    };
    let stopping: Promise<void> | undefined;
    return { address, metricsAddress, stop: () => (stopping ??= stop()) };
  } catch (error) {
    await letGo();
    throw error;
  }
}

/** Binds, tells the service and then the world; stops the service again when that fails. */
async function serve(shutdown: Shutdown, listen: Address, stateDir: string): Promise<string> {
  const { server, service } = shutdown;
  try {
    server.addServices(service.services);
    const bound = await server.listen(listen);
    await service.listening?.(bound);
    const address = formatAddress(bound);
    const file = join(stateDir, ADDRESS_FILE);
    await writeFile(`${file}.tmp`, `${address}\n`, { mode: 0o600 });
    await rename(`${file}.tmp`, file);
    server.setHealthy(true);
    return address;
  } catch (error) {
    await stopInTime(shutdown);
    throw error;
  }
}
