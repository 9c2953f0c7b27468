import { writeSync } from 'node:fs';
import { messageOf, UmemError } from '@umem/errors';
import { readConfig, type Surroundings } from './config/config.js';
import type { Options } from './config/option.js';
import type { Daemon } from './daemon.js';
import { events } from './events.js';
import { ExitCode, toExitCode } from './exit-code.js';
import { captureGrpcLog } from './log/grpc-log.js';
import { createLogger, type Logger } from './log/logger.js';
import { startWithConfig } from './start-daemon.js';
import { version } from './version.js';

/**
 * A daemon's `main`: configuration, logs, signals and exit codes. Resolves when the daemon serves;
 * never rejects, because it ends the process instead.
 */
export async function runDaemon<O extends Options>(
  daemon: Daemon<O>,
  surroundings: Surroundings = { argv: process.argv.slice(2), env: process.env },
): Promise<void> {
  // Between the binding of a Unix socket and its chmod nobody else can connect.
  process.umask(process.umask() | 0o022);
  let log: Logger | undefined;
  try {
    const read = readConfig(daemon, surroundings);
    if ('answer' in read) {
      writeSync(1, read.answer);
      return;
    }
    const { config } = read;
    log = createLogger({ service: daemon.name, level: config.logLevel });
    exitOnCrash(log);
    captureGrpcLog(log);
    const stopAsked = firstSignal();
    log.event(events.starting, { version, node: process.version });
    const started = await startWithConfig(daemon, config, log);
    void stopAsked.then(() => started.stop()).then(() => process.exit(ExitCode.ok));
  } catch (error) {
    const code = toExitCode(error);
    if (log?.isEnabled('fatal') && code !== ExitCode.usage) log.event(events.startFailed, { error });
    else report(daemon.name, error);
    process.exit(code);
  }
}

/** Resolves at the first SIGTERM or SIGINT; the second one ends the process at once. */
function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (_: NodeJS.Signals, number: number): void => {
      if (asked) process.exit(128 + number);
      asked = true;
      resolve();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

function exitOnCrash(log: Logger): void {
  const crash = (error: unknown): void => {
    log.event(events.crashed, { error });
    process.exit(ExitCode.internal);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
}

/** For people, before there is a log; a stack only for what is a bug. */
function report(name: string, error: unknown): void {
  const text =
    error instanceof UmemError
      ? messageOf(error)
      : error instanceof Error
        ? String(error.stack)
        : String(error);
  writeSync(
    2,
    text
      .split('\n')
      .map((line) => `${name}: ${line}\n`)
      .join(''),
  );
}
