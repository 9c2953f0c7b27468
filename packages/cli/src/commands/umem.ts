import { call, UmemdClient, type Umem } from '@umem/api';
import { withPeer, type Peer } from '../client/connect.js';
import type { CliIo } from '../io.js';
import { addAddress, addJson } from '../options/flags.js';
import type { UmemCommand } from '../options/umem-command.js';
import { toName } from '../options/values.js';
import { toUmemStateName } from '../output/enum-names.js';
import { formatCount } from '../output/format.js';
import { orNull, printJson } from '../output/json.js';
import { formatBlocks, toRamBlocksJson } from '../output/ram-block-json.js';
import { toStatsJson } from '../output/stats-json.js';
import { formatTable } from '../output/table.js';

interface UmemOptions {
  readonly pageServer: string;
  readonly json?: boolean;
}

/** Reattaching opens the VMM, rebuilds the received bitmap and connects lanes. */
const REATTACH_TIMEOUT_MS = 60_000;

/** `umemctl umem`: the memory that a page server fills. */
export function addUmemCommands(program: UmemCommand, io: CliIo): void {
  const umem = program.command('umem').description('guest memory that a page server (umemd) fills');

  const list = addFlags(umem.command('list').description('list umem sets'));
  list.action((options: UmemOptions) =>
    withPageServer(options, async ({ client, name: peer }) => {
      const { umems } = await call(client, client.listUmems, {}, { peer });
      if (options.json) printJson(io.stdout, { umems: umems.map(toUmemJson) });
      else io.stdout.write(formatTable(HEAD, umems.map(toUmemRow)));
    }),
  );

  const reattach = addFlags(umem.command('reattach').argument('<name>', 'name of the umem set', toName));
  reattach.description(
    "take a VMM's userfaultfd back after the page server was restarted, and connect again",
  );
  reattach.action((name: string, options: UmemOptions) =>
    withPageServer(options, async ({ client, name: peer }) => {
      const settings = { peer, timeoutMs: REATTACH_TIMEOUT_MS };
      const found = await call(client, client.reattachUmem, { name }, settings);
      if (options.json) printJson(io.stdout, toUmemJson(found));
      else io.stdout.write(formatTable(HEAD, [toUmemRow(found)]));
    }),
  );
}

const HEAD = ['UMEM', 'STATE', 'MEMORY', 'MISSING PAGES', 'LANES', 'MIGRATION'];

function addFlags(command: UmemCommand): UmemCommand {
  addAddress(command, 'page-server', 'the page server');
  addJson(command);
  return command;
}

function withPageServer(
  { pageServer }: UmemOptions,
  work: (peer: Peer<UmemdClient>) => Promise<void>,
): Promise<void> {
  return withPeer(UmemdClient, 'page-server', pageServer, work);
}

/** A umem set as `--json` shows it: docs/cli.md has the keys. */
function toUmemJson(umem: Umem): object {
  return {
    name: umem.name,
    state: toUmemStateName(umem.state),
    ram: toRamBlocksJson(umem.blocks),
    handoffSocket: umem.handoffSocketPath,
    lanesConnected: umem.lanesConnected,
    migrationId: orNull(umem.migrationId),
    ...toStatsJson(umem.stats),
    error: orNull(umem.error),
  };
}

function toUmemRow({ name, state, blocks, stats, lanesConnected, migrationId }: Umem): string[] {
  const missing = stats && stats.totalPages > 0n ? formatCount(stats.remainingPages) : '';
  const lanes = lanesConnected ? 'connected' : '';
  return [name, toUmemStateName(state), formatBlocks(blocks), missing, lanes, migrationId];
}
