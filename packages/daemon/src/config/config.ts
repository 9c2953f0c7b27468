import type { Daemon } from '../daemon.js';
import { readCommandLine, type Answer } from './command-line.js';
import { commonOptions, type CommonConfig, type CommonOptions } from './common-options.js';
import { ConfigError } from './config-error.js';
import { readConfigFile } from './config-file.js';
import { resolveOptions, type Layer } from './layer.js';
import { toVariable, type ConfigOf, type Option, type Options } from './option.js';
import { path as pathSchema } from './values.js';
import { version } from '../version.js';

export { ConfigError };

/** Settings as a configuration file has them: `{ listen: '127.0.0.1:0', shutdownGrace: '5s' }`. */
export type Settings<O> = { readonly [K in keyof O | keyof CommonOptions]?: unknown };

/** What the outside says to a program. */
export interface Surroundings {
  /** Arguments, without the program's own name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

type WholeConfig<O> = ConfigOf<O> & CommonConfig;

/**
 * A daemon's configuration: flag over environment over file over default. Answers with text when
 * help or the version was asked for. Throws ConfigError with every problem that was found.
 */
export function readConfig<O extends Options>(
  daemon: Daemon<O>,
  { argv, env }: Surroundings,
): { config: WholeConfig<O> } | { answer: string } {
  const options = allOptions(daemon);
  const flags = readCommandLine({ ...daemon, version }, options, argv);
  if (isAnswer(flags)) return { answer: flags.text };
  const variables = environmentLayer(options, env);
  const file = flags.values['config'] ?? variables.values['config'];
  const layers = [flags, variables];
  if (file !== undefined) layers.push(readConfigFile(pathSchema().parse(file), options));
  return { config: resolve(daemon, layers) };
}

/** A daemon's configuration from settings in a program. Throws ConfigError. */
export function readSettings<O extends Options>(daemon: Daemon<O>, settings: Settings<O>): WholeConfig<O> {
  const options = allOptions(daemon);
  const unknown = Object.keys(settings).filter((key) => !Object.hasOwn(options, key));
  if (unknown.length > 0)
    throw new ConfigError(unknown.map((key) => `${daemon.name} has no setting "${key}"`));
  const describe = (_: Option, key: string, value: unknown): string => `${key} ${JSON.stringify(value)}`;
  return resolve(daemon, [{ values: settings, describe }]);
}

function resolve<O extends Options>(daemon: Daemon<O>, layers: readonly Layer[]): WholeConfig<O> {
  // A repeated common option may differ in its default only, so both views hold.
  return resolveOptions(allOptions(daemon), layers) as WholeConfig<O>;
}

function allOptions(daemon: Daemon<Options>): Options {
  return { ...commonOptions, ...daemon.options };
}

function environmentLayer(options: Options, env: Surroundings['env']): Layer {
  const values: Record<string, unknown> = {};
  // An empty variable counts as not set: container tools cannot unset one.
  for (const [key, { flag }] of Object.entries(options)) values[key] = env[toVariable(flag)] || undefined;
  return {
    values,
    describe: ({ flag }, _, value) =>
      `${toVariable(flag)}${value === undefined ? '' : `=${JSON.stringify(value)}`}`,
  };
}

function isAnswer(flags: Layer | Answer): flags is Answer {
  return 'text' in flags;
}
