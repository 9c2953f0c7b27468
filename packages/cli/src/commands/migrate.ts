import { randomUUID } from 'node:crypto';
import { MigrationServiceClient, SourceAfter, type CreateMigrationRequest } from '@umem/api';
import { createMigration } from '../client/create-migration.js';
import { withPeer } from '../client/connect.js';
import type { CliIo } from '../io.js';
import { followMigration } from '../migrate/follow.js';
import { reportMigration } from '../migrate/report.js';
import {
  addAddress,
  addJson,
  addPlacement,
  addWatching,
  toPlacement,
  type PlacementOptions,
} from '../options/flags.js';
import type { UmemCommand } from '../options/umem-command.js';
import { toByteRate, toLaneAddresses, toName, toSeconds } from '../options/values.js';
import { createProgress } from '../output/progress.js';

interface MigrateOptions extends PlacementOptions {
  readonly source: string;
  readonly destination: string;
  readonly background: boolean;
  readonly maxBandwidth?: number;
  readonly releaseRam?: boolean;
  readonly sourceAfter: 'keep' | 'quit';
  readonly timeout?: number;
  readonly profile?: string;
  readonly sourceAddress?: string;
  readonly detach?: boolean;
  readonly quiet?: boolean;
  readonly reconnectTimeout: number;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  umemctl migrate web1 --source 10.0.0.1:7001 --destination 10.0.0.2:7002
  umemctl migrate web1 --source unix:/run/umem/source.sock --destination 10.0.0.2:7002 --max-bandwidth 200MiB
  umemctl migrate web1 --source 10.0.0.1:7001 --destination 10.0.0.2:7002 --json | jq .downtimeMs

Ctrl-C asks what to do before the guest runs on the destination; after that it only stops watching.`;

/** `umemctl migrate`: moves a VM and shows it. */
export function addMigrateCommand(program: UmemCommand, io: CliIo): void {
  const migrate = program.command('migrate').argument('<name>', 'name of the registered VM', toName);
  migrate.description('move a running VM to another host by post-copy');
  addAddress(migrate, 'source', "the source-agent on the VM's host");
  addAddress(migrate, 'destination', 'the destination-agent, as the source-agent reaches it');
  migrate
    .addOption(
      migrate.createOption('-p, --postcopy', 'move by post-copy: the default, and the only way so far'),
    )
    .addOption(
      migrate.createOption(
        '-n, --no-background',
        'only faults move pages; ends when the guest has touched all, or after "migration finish"',
      ),
    )
    .addOption(
      migrate
        .createOption(
          '--max-bandwidth <bytes/s>',
          'limit of the background, for example 200MiB; never of faults',
        )
        .argParser(toByteRate),
    )
    .addOption(
      migrate.createOption(
        '--release-ram',
        'free source memory as the destination confirms its pages; what is freed cannot be sent again',
      ),
    )
    .addOption(
      migrate
        .createOption('--source-after <what>', 'what becomes of the source VM at the end')
        .choices(['keep', 'quit'])
        .default('keep'),
    )
    .addOption(
      migrate
        .createOption('--timeout <seconds>', 'cancel unless the guest runs on the destination by then')
        .argParser(toSeconds),
    )
    .addOption(
      migrate
        .createOption(
          '--profile <name>',
          "the destination's launch profile, if not the one with the VM's name",
        )
        .argParser(toName),
    )
    .addOption(
      migrate
        .createOption(
          '--source-address <address>',
          "the source-agent, as the destination reaches it; several with commas are the demand lane's and each background lane's, where fd:N is a descriptor of the page server",
        )
        .argParser(toLaneAddresses),
    )
    .addOption(migrate.createOption('--detach', 'start the migration and return at once'));
  addPlacement(migrate);
  addWatching(migrate);
  addJson(migrate);
  migrate.addHelpText('after', EXAMPLES);
  migrate.action((name: string, options: MigrateOptions) => runMigrate(io, name, options));
}

async function runMigrate(io: CliIo, name: string, options: MigrateOptions): Promise<void> {
  await withPeer(MigrationServiceClient, 'source-agent', options.source, async (peer) => {
    const created = await createMigration(peer, toRequest(name, options));
    if (options.detach) {
      reportMigration(io, created, options.json === true);
      return;
    }
    const progress = createProgress(io, { quiet: options.quiet === true });
    const { migration } = await followMigration({
      io,
      peer,
      migration: created,
      progress,
      giveUpAfterMs: options.reconnectTimeout * 1000,
      onInterrupt: 'decide',
    });
    reportMigration(io, migration, options.json === true);
  });
}

function toRequest(vm: string, options: MigrateOptions): CreateMigrationRequest {
  return {
    vm,
    destinationAddress: options.destination,
    options: {
      noBackground: !options.background,
      ...toPlacement(options),
      maxBandwidthBytesPerSecond: BigInt(options.maxBandwidth ?? 0),
      releaseRam: options.releaseRam === true,
      sourceAfter: options.sourceAfter === 'quit' ? SourceAfter.QUIT : SourceAfter.KEEP,
      timeoutSeconds: options.timeout ?? 0,
    },
    profile: options.profile ?? '',
    requestId: randomUUID(),
    sourceAddress: options.sourceAddress ?? '',
  };
}
