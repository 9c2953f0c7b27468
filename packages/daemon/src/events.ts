import { defineEvents } from './log/events.js';

/** What every daemon logs. */
export const events = defineEvents({
  starting: { level: 'info', message: 'Starting' },
  listening: { level: 'info', message: 'Listening' },
  metricsListening: { level: 'info', message: 'Serving metrics' },
  insecureNetwork: {
    level: 'warn',
    message: 'Serving without TLS on a network address: whoever reaches it can read guest memory',
  },
  stopping: { level: 'info', message: 'Stopping' },
  stopFailed: { level: 'error', message: 'The service did not stop cleanly' },
  graceOver: { level: 'warn', message: 'The shutdown grace is over: breaking off what still runs' },
  stopped: { level: 'info', message: 'Stopped' },
  startFailed: { level: 'fatal', message: 'Cannot start' },
  crashed: { level: 'fatal', message: 'Internal error: please report it' },
  stateFileSetAside: { level: 'error', message: 'A state file cannot be read and was set aside' },
});
