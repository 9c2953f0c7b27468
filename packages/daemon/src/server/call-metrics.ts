import {
  ResponderBuilder,
  ServerInterceptingCall,
  ServerListenerBuilder,
  status,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { Gauge, Histogram, type Registry } from 'prom-client';

/** Seconds: from a control call on a Unix socket to a lane that lives as long as a migration. */
const BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600,
];

/**
 * Measures each call from its headers to its status, streams as a whole. Messages pass untouched, so
 * that lanes pay nothing per page.
 */
export function createCallMetrics(registry: Registry): ServerInterceptor {
  const inFlight = new Gauge({
    name: 'umem_grpc_server_calls_in_flight',
    help: 'Calls that have begun and not ended, streams included',
    labelNames: ['method'],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'umem_grpc_server_call_seconds',
    help: 'Time from the headers of a call to its status',
    labelNames: ['method', 'code'],
    buckets: BUCKETS,
    registers: [registry],
  });
  return (definition, call) => {
    const method = definition.path.slice(1);
    const begun = process.hrtime.bigint();
    let ended = false;
    inFlight.inc({ method });
    // A cancelled call may still be given a status by its handler: the first end counts.
    const end = (code: status): void => {
      if (ended) return;
      ended = true;
      inFlight.dec({ method });
      seconds.observe({ method, code: status[code] }, Number(process.hrtime.bigint() - begun) / 1e9);
    };
    const listener = new ServerListenerBuilder().withOnCancel(() => end(status.CANCELLED)).build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendStatus((sent, next) => {
        end(sent.code);
        next(sent);
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}
