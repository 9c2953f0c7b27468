import { messageOf, UmemError } from '@umem/errors';
import { pino } from 'pino';
import type { LogEvent } from './events.js';
import { redact } from './redact.js';

/** What `--log-level` takes, least severe first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Facts of a log line. `error` may be anything that was thrown. Tokens and secrets are taken out. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes events, one JSON object per line. */
export interface Logger {
  event(event: LogEvent, fields?: LogFields): void;
  /** A logger that adds `fields` to each line. */
  child(fields: LogFields): Logger;
  /** False when events of that level go nowhere, so that their fields need not be gathered. */
  isEnabled(level: LogEvent['level']): boolean;
}

export interface LoggerSettings {
  /** The program, in each line as `service`. */
  readonly service: string;
  readonly level: LogLevel;
  /** Where lines go. Default: stderr, written before `event` returns. */
  readonly destination?: { write(line: string): void };
}

export function createLogger({ service, level, destination }: LoggerSettings): Logger {
  const logger = pino(
    {
      level,
      base: { service, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    // Synchronous, so that the last line before an exit is never lost.
    destination ?? pino.destination({ fd: 2, sync: true }),
  );
  return wrap(logger);
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  event: () => {},
  child: () => silentLogger,
  isEnabled: () => false,
};

function wrap(logger: pino.Logger): Logger {
  return {
    event({ name, level, message }, fields = {}) {
      if (logger.isLevelEnabled(level)) logger[level]({ event: name, ...toPlain(fields) }, message);
    },
    child: (fields) => wrap(logger.child(toPlain(fields))),
    isEnabled: (level) => logger.isLevelEnabled(level),
  };
}

function toPlain(fields: LogFields): Record<string, unknown> {
  return redact('error' in fields ? { ...fields, error: describe(fields['error']) } : fields);
}

/** An error as a log line shows it; the stack only where somebody must look for a bug. */
function describe(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, stack } = error;
  const message = messageOf(error);
  if (error instanceof UmemError && error.reason !== 'INTERNAL')
    return { name, reason: error.reason, message, ...error.metadata };
  return { name, message, stack };
}
