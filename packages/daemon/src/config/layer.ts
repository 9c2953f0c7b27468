import { ConfigError } from './config-error.js';
import { toVariable, type ConfigOf, type Option, type Options } from './option.js';

/** Settings from one place, by key; what is undefined there is left to the next layer. */
export interface Layer {
  readonly values: Readonly<Record<string, unknown>>;
  /** How the user wrote a setting, for messages: `--listen "foo"`. */
  describe(option: Option, key: string, value: unknown): string;
}

/** Reads each option from the first layer that has it, else from its default. Throws ConfigError. */
export function resolveOptions<O extends Options>(options: O, layers: readonly Layer[]): ConfigOf<O> {
  const problems: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(options)) {
    const layer = layers.find(({ values }) => values[key] !== undefined);
    const value = layer ? layer.values[key] : option.default;
    const read = option.schema.safeParse(value);
    if (read.success) config[key] = read.data;
    else if (value === undefined) problems.push(missing(option, key));
    else {
      const shown = layer
        ? layer.describe(option, key, option.secret ? undefined : value)
        : `The default of --${option.flag}`;
      // The schema's own words may quote the value, which a secret must not be.
      const why = option.secret
        ? 'it does not have the form it must have'
        : read.error.issues.map(issueText).join('; ');
      problems.push(`${shown} is refused: ${why}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  // Each key was read by its own schema just above, which is what ConfigOf says of it.
  return config as ConfigOf<O>;
}

function missing({ flag, description }: Option, key: string): string {
  return `--${flag} is required (or ${toVariable(flag)}, or ${key} in the configuration file): ${description}`;
}

function issueText({ path, message }: { path: PropertyKey[]; message: string }): string {
  return path.length > 0 ? `${path.join('.')}: ${message}` : message;
}
