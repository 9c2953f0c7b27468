import type { RunningService } from '../daemon.js';
import { events } from '../events.js';
import type { Logger } from '../log/logger.js';
import type { GrpcServer } from './grpc-server.js';

export interface Shutdown {
  readonly server: GrpcServer;
  readonly service: RunningService;
  /** For all of it together. */
  readonly graceMs: number;
  readonly log: Logger;
}

/**
 * Health says NOT_SERVING, then the service ends its work while calls are still answered, then the
 * open calls may end. What has not happened within the grace is broken off.
 */
export async function stopInTime({ server, service, graceMs, log }: Shutdown): Promise<void> {
  server.setHealthy(false);
  let expire = (): void => {};
  const expired = new Promise<'expired'>((resolve) => (expire = () => resolve('expired')));
  const timer = setTimeout(expire, graceMs);
  const ended = async (): Promise<'ended'> => {
    // A service that fails to stop has still stopped as far as it can: the server must go anyway.
    await service.stop().catch((error: unknown) => log.event(events.stopFailed, { error }));
    await server.drain();
    return 'ended';
  };
  const outcome = await Promise.race([ended(), expired]);
  clearTimeout(timer);
  if (outcome === 'expired') log.event(events.graceOver, { graceMs });
  server.destroy();
}
