import { call, IncomingServiceClient, VmServiceClient, type Incoming } from '@umem/api';
import { withPeer, type Peer } from '../client/connect.js';
import type { CliIo } from '../io.js';
import {
  addAddress,
  addAgent,
  addJson,
  addPlacement,
  toPlacement,
  type PlacementOptions,
} from '../options/flags.js';
import type { UmemCommand } from '../options/umem-command.js';
import { toName } from '../options/values.js';
import { toIncomingStateName } from '../output/enum-names.js';
import { formatIncoming, formatPrepared } from '../output/incoming-text.js';
import { toIncomingJson, toPreparedJson } from '../output/incoming-json.js';
import { printJson } from '../output/json.js';
import { formatTable } from '../output/table.js';

interface IncomingOptions {
  readonly agent: string;
  readonly json?: boolean;
}

interface PrepareOptions extends IncomingOptions, PlacementOptions {
  readonly source: string;
  readonly profile?: string;
}

/** Preparing makes RAM files, and with a profile starts a VMM. */
const PREPARE_TIMEOUT_MS = 60_000;
/** Aborting waits until the VMM has gone. */
const ABORT_TIMEOUT_MS = 30_000;

/** `umemctl incoming`: VMs on their way into a destination-agent's host. */
export function addIncomingCommands(program: UmemCommand, io: CliIo): void {
  const incoming = program
    .command('incoming')
    .description("VMs on their way into a destination-agent's host");

  const prepare = addFlags(incoming.command('prepare').argument('<name>', 'name of the VM', toName));
  prepare.description('make RAM files and umems for a VMM that you start yourself, and print what it needs');
  addAddress(prepare, 'source', 'the source-agent that has the VM');
  prepare.addOption(
    prepare
      .createOption('--profile <name>', 'let the destination-agent start the VMM from this launch profile')
      .argParser(toName),
  );
  addPlacement(prepare);
  prepare.action((name: string, options: PrepareOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      const { blocks, vhostUserDevices } = await withPeer(
        VmServiceClient,
        'source-agent',
        options.source,
        (source) => call(source.client, source.client.getVm, { name }, { peer: source.name }),
      );
      const profile = options.profile ?? '';
      const request = { name, blocks, profile, vhostUserDevices, ...toPlacement(options) };
      const settings = { peer, timeoutMs: PREPARE_TIMEOUT_MS };
      const prepared = await call(client, client.prepareIncoming, request, settings);
      if (options.json) printJson(io.stdout, toPreparedJson(prepared));
      else io.stdout.write(formatPrepared(prepared));
    }),
  );

  const list = addFlags(incoming.command('list').description('list incoming VMs'));
  list.action((options: IncomingOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      const { incomings } = await call(client, client.listIncomings, {}, { peer });
      if (options.json) printJson(io.stdout, { incomings: incomings.map(toIncomingJson) });
      else io.stdout.write(formatTable(['VM', 'STATE', 'MIGRATION', 'VMM'], incomings.map(toIncomingRow)));
    }),
  );

  const get = addFlags(incoming.command('get').argument('<name>', 'name of the VM', toName));
  get.description('show one incoming VM').action((name: string, options: IncomingOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      const found = await call(client, client.getIncoming, { name }, { peer });
      if (options.json) printJson(io.stdout, toIncomingJson(found));
      else io.stdout.write(formatIncoming(found));
    }),
  );

  const abort = addFlags(incoming.command('abort').argument('<name>', 'name of the VM', toName));
  abort.description('clean up an incoming VM whose guest has never run: its VMM quits, its RAM files go');
  abort.addOption(
    abort.createOption('--migration-id <id>', 'only if this migration is filling it').default(''),
  );
  abort.addOption(abort.createOption('--reason <text>', "why, for the agent's log").default('umemctl'));
  abort.action((name: string, options: IncomingOptions & { migrationId: string; reason: string }) =>
    withAgent(options, async ({ client, name: peer }) => {
      const request = { name, migrationId: options.migrationId, reason: options.reason };
      await call(client, client.abortIncoming, request, { peer, timeoutMs: ABORT_TIMEOUT_MS });
      if (options.json) printJson(io.stdout, { name });
      else io.stdout.write(`${name} is not incoming any more; its RAM files are gone\n`);
    }),
  );

  const forget = addFlags(incoming.command('forget').argument('<name>', 'name of the VM', toName));
  forget.description('forget an incoming VM that is COMPLETED or FAILED; the guest does not notice');
  forget.action((name: string, options: IncomingOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      await call(client, client.forgetIncoming, { name }, { peer });
      if (options.json) printJson(io.stdout, { name });
      else io.stdout.write(`${name} is forgotten; its guest goes on as it is\n`);
    }),
  );
}

function addFlags(command: UmemCommand): UmemCommand {
  addAgent(command, 'destination-agent');
  addJson(command);
  return command;
}

function withAgent(
  { agent }: IncomingOptions,
  work: (peer: Peer<IncomingServiceClient>) => Promise<void>,
): Promise<void> {
  return withPeer(IncomingServiceClient, 'destination-agent', agent, work);
}

function toIncomingRow({ name, state, migrationId, vmmPid }: Incoming): string[] {
  return [name, toIncomingStateName(state), migrationId, vmmPid === 0 ? '' : `process ${vmmPid}`];
}
