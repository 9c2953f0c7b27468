import { Command, CommanderError, Option as CommandOption } from 'commander';
import { ConfigError } from './config-error.js';
import type { Layer } from './layer.js';
import { isSwitch, toVariable, type Option, type Options } from './option.js';

/** Text that was asked for instead of running: --help or --version. */
export interface Answer {
  readonly text: string;
}

export interface ProgramInfo {
  readonly name: string;
  readonly description: string;
  readonly version: string;
}

const FOOTNOTE = `
Each option can also be set by its environment variable, or in the file that --config names, under its
name in camelCase (state-dir is stateDir there). A flag wins over a variable, a variable over the file.
Sizes take suffixes (64MiB, 1.5GiB), durations a unit (200ms, 5s).

Exit codes: 0 stopped, 2 wrong settings, 3 the host does not allow it, 4 a peer cannot be reached, 70 internal error.`;

/** Settings from the command line. Throws ConfigError on what is not an option. */
export function readCommandLine(
  { name, description, version }: ProgramInfo,
  options: Options,
  argv: readonly string[],
): Layer | Answer {
  let text = '';
  const command = new Command(name)
    .description(description)
    .version(`${name} ${version}`, '-V, --version', 'Print the version')
    .helpOption('-h, --help', 'Print this help')
    .allowExcessArguments(false)
    .configureHelp({ helpWidth: 110 })
    .configureOutput({ writeOut: (out) => (text += out), writeErr: () => {} })
    .exitOverride()
    .addHelpText('after', FOOTNOTE);
  for (const option of Object.values(options)) addOption(command, option);
  try {
    command.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { text };
    throw new ConfigError([
      `${error.message.replace(/^error: /, '').replace('\n', ' ')}. See ${name} --help`,
    ]);
  }
  return {
    values: command.opts(),
    describe: ({ flag }, _, value) => `--${flag}${value === undefined ? '' : ` ${JSON.stringify(value)}`}`,
  };
}

function addOption(command: Command, option: Option): void {
  const { flag, metavar = 'value', description } = option;
  const on = isSwitch(option);
  command.addOption(
    new CommandOption(on ? `--${flag}` : `--${flag} <${metavar}>`, `${description} (${facts(option)})`),
  );
  // So that a flag can turn off what the environment or the file turned on.
  if (on) command.addOption(new CommandOption(`--no-${flag}`).hideHelp());
}

function facts(option: Option): string {
  const variable = `env ${toVariable(option.flag)}`;
  if (option.default === undefined)
    return option.schema.safeParse(undefined).success ? variable : `required, ${variable}`;
  return `default ${option.secret ? 'set' : String(option.default)}, ${variable}`;
}
