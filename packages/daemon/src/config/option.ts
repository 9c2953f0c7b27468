import type { z } from 'zod';

/** One setting of a daemon: a flag, an environment variable and a key of the configuration file. */
export interface Option<T = unknown> {
  /** kebab-case, without the leading hyphens: `max-bandwidth`. */
  readonly flag: string;
  /** One sentence for `--help`: what it sets, its unit, and what leaving it out means. */
  readonly description: string;
  /** What the value is called in `--help`. Default `value`; ignored for switches. */
  readonly metavar?: string;
  /**
   * Reads the value from text (flags, environment) and from what YAML makes of it. Where it takes
   * `undefined`, the option may be left out; otherwise it needs a default or is required.
   */
  readonly schema: z.ZodType<T>;
  /** As a user would write it; read by `schema`. */
  readonly default?: string | number | boolean;
  /** True: the value never appears in messages, help or logs. */
  readonly secret?: boolean;
}

/** Options by their key: the flag's name in camelCase. */
export type Options = Readonly<Record<string, Option>>;

/** What the options of a table are once they are read. */
export type ConfigOf<O> = {
  readonly [K in keyof O]: O[K] extends { readonly schema: z.ZodType<infer T> } ? T : never;
};

/** Checks a table of options when the program starts and keeps its types. Throws TypeError. */
export function defineOptions<const O extends Options>(options: O): O {
  for (const [key, { flag }] of Object.entries(options)) {
    if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(flag)) throw new TypeError(`Flag "${flag}" is not kebab-case`);
    if (flag.startsWith('no-')) throw new TypeError(`--${flag} would read as the opposite of another flag`);
    if (toKey(flag) !== key) throw new TypeError(`The key of --${flag} must be ${toKey(flag)}, not ${key}`);
  }
  return options;
}

/** The configuration file's key for a flag: `max-bandwidth` → `maxBandwidth`. */
export function toKey(flag: string): string {
  return flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The environment variable for a flag: `max-bandwidth` → `UMEM_MAX_BANDWIDTH`. */
export function toVariable(flag: string): string {
  return `UMEM_${flag.replaceAll('-', '_').toUpperCase()}`;
}

/** True for options that are either on or off, so that their flag takes no value. */
export function isSwitch(option: Option): boolean {
  return option.schema.safeParse(true).data === true;
}
