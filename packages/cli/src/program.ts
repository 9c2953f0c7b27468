import { addDoctorCommand } from './commands/doctor.js';
import { addIncomingCommands } from './commands/incoming.js';
import { addMigrateCommand } from './commands/migrate.js';
import { addMigrationCommands } from './commands/migration.js';
import { addUmemCommands } from './commands/umem.js';
import { addVmCommands } from './commands/vm.js';
import type { CliIo } from './io.js';
import { UmemCommand } from './options/umem-command.js';
import { version } from './version.js';

const HELP = `
Addresses are host:port or unix:/absolute/path; sizes and rates take suffixes (64MiB, 1.5GiB).
Every flag has an environment variable, in brackets: UMEM_ and the flag's name. The command line wins.
Results go to stdout, progress and errors to stderr. Colours stay away with NO_COLOR=1.

Exit codes: 0 ok, 2 usage, 3 precondition (nothing was lost), 4 peer unavailable (try again later),
5 guest lost, 70 internal error.

Examples:
  umemctl doctor
  umemctl vm register web1 --agent 10.0.0.1:7001 --qmp /run/vm/web1.qmp
  umemctl migrate web1 --source 10.0.0.1:7001 --destination 10.0.0.2:7002
  umemctl migration list --agent 10.0.0.1:7001 --json`;

/** The whole command line. Errors of usage are written to stderr and thrown as CommanderError. */
export function createProgram(io: CliIo): UmemCommand {
  const program = new UmemCommand(io.env, 'umemctl');
  program
    .description('Moves running virtual machines between hosts by post-copy')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (text, write) => write(toSentence(text)),
    })
    .addHelpText('after', HELP);
  addMigrateCommand(program, io);
  addMigrationCommands(program, io);
  addVmCommands(program, io);
  addIncomingCommands(program, io);
  addUmemCommands(program, io);
  addDoctorCommand(program, io);
  return program;
}

/** Commander's `error: unknown option '--x'` in the words of all other errors. */
function toSentence(text: string): string {
  const sentence = text
    .replace(/^error: /, '')
    .trim()
    .replace(/\n/g, ' ');
  return `umemctl: ${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}\n`;
}
