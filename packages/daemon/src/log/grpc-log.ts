import { setLogger } from '@grpc/grpc-js';
import { defineEvents } from './events.js';
import type { Logger } from './logger.js';

const events = defineEvents({
  grpc: { level: 'debug', message: 'gRPC library' },
});

/**
 * Takes what grpc-js would write to stderr as text. At debug, because what matters in it arrives as an
 * error as well.
 */
export function captureGrpcLog(log: Logger): void {
  const write = (...parts: unknown[]): void => log.event(events.grpc, { text: parts.map(String).join(' ') });
  setLogger({ error: write, info: write, debug: write });
}
