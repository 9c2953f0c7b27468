import { call, MigrationServiceClient, type Migration } from '@umem/api';
import { formatBytes } from '@umem/ram';
import { withPeer, type Peer } from '../client/connect.js';
import { isFinished } from '../client/watch-migration.js';
import type { CliIo } from '../io.js';
import { followMigration } from '../migrate/follow.js';
import { reportMigration } from '../migrate/report.js';
import { addAgent, addJson, addWatching } from '../options/flags.js';
import type { UmemCommand } from '../options/umem-command.js';
import { toByteRate, toCount, toMigrationName } from '../options/values.js';
import { printJson } from '../output/json.js';
import { toMigrationJson } from '../output/migration-json.js';
import { formatMigration, MIGRATION_HEAD, toMigrationRow } from '../output/migration-text.js';
import { createProgress } from '../output/progress.js';
import { formatTable } from '../output/table.js';

interface MigrationOptions {
  readonly agent: string;
  readonly json?: boolean;
}

interface WatchOptions extends MigrationOptions {
  readonly quiet?: boolean;
  readonly reconnectTimeout: number;
}

interface SetOptions extends MigrationOptions {
  readonly maxBandwidth: number;
}

/** Cancelling returns when the source guest runs again. */
const CANCEL_TIMEOUT_MS = 60_000;
const PAGE_SIZE = 100;

/** `umemctl migration`: migrations that a source-agent runs or remembers. */
export function addMigrationCommands(program: UmemCommand, io: CliIo): void {
  const migration = program
    .command('migration')
    .description('migrations that a source-agent runs or remembers; NAME is an id, or a VM for its newest');

  const list = addFlags(migration.command('list').description('list migrations, newest first'));
  list.addOption(
    list.createOption('--limit <count>', 'at most so many').argParser(toCount).default(PAGE_SIZE),
  );
  list.action((options: MigrationOptions & { limit: number }) =>
    withAgent(options, async (peer) => {
      const migrations = await listMigrations(peer, options.limit);
      if (options.json) printJson(io.stdout, { migrations: migrations.map(toMigrationJson) });
      else io.stdout.write(formatTable(MIGRATION_HEAD, migrations.map(toMigrationRow)));
    }),
  );

  const get = addNamed(migration, 'get', 'show one migration');
  get.action((name: string, options: MigrationOptions) =>
    withAgent(options, async (peer) => {
      print(io, options, await getMigration(peer, name));
    }),
  );

  const watch = addNamed(
    migration,
    'watch',
    'follow a migration to its end; with --json one line per update',
  );
  addWatching(watch);
  watch.action((name: string, options: WatchOptions) => runWatch(io, name, options));

  const finish = addNamed(
    migration,
    'finish',
    'end a migration without background soon: its remaining pages follow in the background',
  );
  finish.action((name: string, options: MigrationOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      const finishing = await call(client, client.finishMigration, { migration: name }, { peer });
      if (options.json) print(io, options, finishing);
      else io.stdout.write(`${finishing.migrationId} has background; its remaining pages follow\n`);
    }),
  );

  const set = addNamed(migration, 'set', 'change the limits of a migration while it runs');
  set.addOption(
    set
      .createOption(
        '--max-bandwidth <bytes/s>',
        'limit of the background from now on, for example 200MiB; 0 lifts it; never of faults',
      )
      .argParser(toByteRate)
      .makeOptionMandatory(),
  );
  set.action((name: string, options: SetOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      const request = { migration: name, maxBandwidthBytesPerSecond: BigInt(options.maxBandwidth) };
      const changed = await call(client, client.updateMigration, request, { peer });
      if (options.json) print(io, options, changed);
      else io.stdout.write(`${changed.migrationId} ${toLimit(options.maxBandwidth)}\n`);
    }),
  );

  const cancel = addNamed(migration, 'cancel', 'end a migration while its guest still runs on the source');
  cancel.action((name: string, options: MigrationOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      const settings = { peer, timeoutMs: CANCEL_TIMEOUT_MS };
      const cancelled = await call(client, client.cancelMigration, { migration: name }, settings);
      if (options.json) print(io, options, cancelled);
      else io.stdout.write(`${cancelled.migrationId} is cancelled; ${cancelled.vm} runs on the source\n`);
    }),
  );
}

function toLimit(bytesPerSecond: number): string {
  return bytesPerSecond === 0
    ? 'has no limit of its background any more'
    : `keeps its background to ${formatBytes(bytesPerSecond)}/s`;
}

function addNamed(parent: UmemCommand, verb: string, description: string): UmemCommand {
  const command = parent.command(verb).argument('<name>', 'a migration, or a VM', toMigrationName);
  return addFlags(command.description(description));
}

function addFlags(command: UmemCommand): UmemCommand {
  addAgent(command, 'source-agent');
  addJson(command);
  return command;
}

function withAgent(
  { agent }: MigrationOptions,
  work: (peer: Peer<MigrationServiceClient>) => Promise<void>,
): Promise<void> {
  return withPeer(MigrationServiceClient, 'source-agent', agent, work);
}

async function runWatch(io: CliIo, name: string, options: WatchOptions): Promise<void> {
  await withAgent(options, async (peer) => {
    const found = await getMigration(peer, name);
    const json = options.json === true;
    const { migration } = await followMigration({
      io,
      peer,
      migration: found,
      progress: createProgress(io, { quiet: options.quiet === true }),
      giveUpAfterMs: options.reconnectTimeout * 1000,
      onInterrupt: 'detach',
      onUpdate: (update) => {
        // The end is printed once, by the report.
        if (json && !isFinished(update.state)) printJson(io.stdout, toMigrationJson(update));
      },
    });
    reportMigration(io, migration, json);
  });
}

function getMigration({ client, name }: Peer<MigrationServiceClient>, migration: string): Promise<Migration> {
  return call(client, client.getMigration, { migration }, { peer: name });
}

async function listMigrations(
  { client, name: peer }: Peer<MigrationServiceClient>,
  limit: number,
): Promise<Migration[]> {
  const found: Migration[] = [];
  for (let pageToken = ''; ;) {
    const request = { pageSize: Math.min(1000, limit - found.length), pageToken };
    const page = await call(client, client.listMigrations, request, { peer });
    found.push(...page.migrations);
    pageToken = page.nextPageToken;
    if (pageToken === '' || found.length >= limit) return found.slice(0, limit);
  }
}

function print(io: CliIo, { json }: MigrationOptions, migration: Migration): void {
  if (json) printJson(io.stdout, toMigrationJson(migration));
  else io.stdout.write(formatMigration(migration));
}
