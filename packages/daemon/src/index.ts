export { commonOptions, type CommonConfig, type CommonOptions } from './config/common-options.js';
export { ConfigError, readConfig, type Settings } from './config/config.js';
export { defineOptions, type ConfigOf, type Option, type Options } from './config/option.js';
export {
  address,
  boolean,
  bytes,
  descriptors,
  durationMs,
  integer,
  listOf,
  name,
  path,
  type Bounds,
} from './config/values.js';
export type { Daemon, RunningService, ServedService, ServiceContext } from './daemon.js';
export { ExitCode } from './exit-code.js';
export { defineEvents, type EventLevel, type LogEvent } from './log/events.js';
export {
  createLogger,
  LOG_LEVELS,
  silentLogger,
  type LogFields,
  type Logger,
  type LoggerSettings,
  type LogLevel,
} from './log/logger.js';
export { runDaemon } from './run-daemon.js';
export { startDaemon, type StartedDaemon, type StartSettings } from './start-daemon.js';
export { StateFile, type StateFileSettings } from './state/state-file.js';
export { StateMachine, type StateMachineSettings, type StateTable } from './state/state-machine.js';
export { Watchable } from './state/watchable.js';
