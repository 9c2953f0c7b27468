import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT } from '../exit-codes.js';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * A command whose every flag can come from the environment: `--max-bandwidth` from
 * UMEM_MAX_BANDWIDTH. The command line wins. Commander's own support reads `process.env` and cannot
 * say "false".
 */
export class UmemCommand extends Command {
  constructor(
    private readonly env: Env,
    name?: string,
  ) {
    super(name);
  }

  override createCommand(name?: string): UmemCommand {
    return new UmemCommand(this.env, name);
  }

  override createOption(flags: string, description = ''): Option {
    const option = new Option(flags, description);
    if (hasEnv(option)) option.description = `${description} [${toEnvName(option)}]`;
    return option;
  }

  override parseOptions(argv: string[]): ReturnType<Command['parseOptions']> {
    for (const option of this.options) this.applyEnv(option);
    return super.parseOptions(argv);
  }

  private applyEnv(option: Option): void {
    const name = toEnvName(option);
    const text = this.env[name];
    if (text === undefined || text === '' || !hasEnv(option)) return;
    try {
      this.setOptionValueWithSource(option.attributeName(), toValue(option, text), 'env');
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      this.error(`error: environment variable ${name}: ${error.message}`, { exitCode: EXIT.usage });
    }
  }
}

/** `--source-after` is UMEM_SOURCE_AFTER. */
export function toEnvName(option: Option): string {
  return `UMEM_${option.name().replaceAll('-', '_').toUpperCase()}`;
}

/** Asking for help or the version is not a setting. */
function hasEnv(option: Option): boolean {
  return !['help', 'version'].includes(option.name());
}

function toValue(option: Option, text: string): unknown {
  if (option.variadic) {
    const list = text.split(/[\s,]+/).filter((part) => part !== '');
    // Commander appends to a variadic value unless it is the default: the command line replaces this.
    option.defaultValue = list;
    return list;
  }
  if (option.required || option.optional)
    return option.parseArg ? option.parseArg<unknown>(text, undefined) : text;
  const on = toBoolean(text);
  return option.negate ? !on : on;
}

function toBoolean(text: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new InvalidArgumentError(`"${text}" is neither 1 nor 0.`);
}
