import { formatAddress, parseAddress } from '@umem/api';
import { checkHost } from '../doctor/host-checks.js';
import { readHostFacts } from '../doctor/host-facts.js';
import type { Check } from '../doctor/check.js';
import { checkPeers } from '../doctor/peer-checks.js';
import { CommandFailure, EXIT } from '../exit-codes.js';
import type { CliIo } from '../io.js';
import { addJson } from '../options/flags.js';
import type { UmemCommand } from '../options/umem-command.js';
import { toAbsolutePath, toName } from '../options/values.js';
import { formatChecks } from '../output/checks-text.js';
import { printJson } from '../output/json.js';
import { createPaint } from '../output/style.js';

interface DoctorOptions {
  readonly agent?: readonly string[];
  readonly vm?: string;
  readonly profile?: string;
  readonly ramDir: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  umemctl doctor                                               this host, without any service
  umemctl doctor --agent 10.0.0.1:7001 --agent 10.0.0.2:7002   a source, a destination, and the pair
  umemctl doctor --agent 10.0.0.1:7001 10.0.0.2:7002 --vm web1 --profile web`;

/** `umemctl doctor`: would it work, and if not, what to do. */
export function addDoctorCommand(program: UmemCommand, io: CliIo): void {
  const doctor = program.command('doctor');
  doctor.description('check this host, or with --agent services and pairs of hosts; changes nothing');
  doctor
    .addOption(doctor.createOption('--agent <address...>', 'services to check: host:port or unix:PATH'))
    .addOption(
      doctor
        .createOption('--vm <name>', 'check for this VM only, not for every registered one')
        .argParser(toName),
    )
    .addOption(
      doctor
        .createOption('--profile <name>', 'launch profile that the destination would use')
        .argParser(toName),
    )
    .addOption(
      doctor
        .createOption('--ram-dir <path>', 'where RAM files of incoming VMs go on this host')
        .argParser(toAbsolutePath)
        .default('/dev/shm'),
    );
  addJson(doctor);
  doctor.addHelpText('after', EXAMPLES);
  doctor.action((options: DoctorOptions) => runDoctor(io, options));
}

async function runDoctor(io: CliIo, options: DoctorOptions): Promise<void> {
  const addresses = (options.agent ?? []).map((text) => formatAddress(parseAddress(text)));
  const { checks, unreachable } =
    addresses.length > 0
      ? await checkPeers({
          addresses,
          profile: options.profile ?? '',
          ...(options.vm === undefined ? {} : { vm: options.vm }),
        })
      : { checks: checkHost(await readHostFacts(options.ramDir, io.env)), unreachable: [] };
  const failed = checks.filter(({ result }) => result === 'fail');
  const document = { ok: failed.length === 0, checks };
  if (!options.json) io.stdout.write(formatChecks(checks, createPaint(io.stdout, io.env)));
  else if (document.ok) printJson(io.stdout, document);
  if (!document.ok)
    throw new CommandFailure(
      describeFailure(failed, checks.length),
      unreachable.length > 0 ? EXIT.unavailable : EXIT.precondition,
      document,
    );
}

function describeFailure(failed: readonly Check[], total: number): string {
  const names = [...new Set(failed.map(({ check, subject }) => `${check} (${subject})`))];
  return `${failed.length} of ${total} checks failed: ${names.join(', ')}`;
}
