import { call, VmServiceClient, type Vm } from '@umem/api';
import { formatBytes } from '@umem/ram';
import { withPeer, type Peer } from '../client/connect.js';
import type { CliIo } from '../io.js';
import { addAgent, addJson } from '../options/flags.js';
import type { UmemCommand } from '../options/umem-command.js';
import { toAbsolutePath, toName } from '../options/values.js';
import { toRunStateName } from '../output/enum-names.js';
import { orNull, printJson } from '../output/json.js';
import { toRamBlocksJson, formatBlocks } from '../output/ram-block-json.js';
import { formatTable } from '../output/table.js';

interface VmOptions {
  readonly agent: string;
  readonly json?: boolean;
}

/** Registering asks the VMM about its RAM, which it may be slow to answer. */
const REGISTER_TIMEOUT_MS = 30_000;

/** `umemctl vm`: the VMs that a source-agent may move. */
export function addVmCommands(program: UmemCommand, io: CliIo): void {
  const vm = program.command('vm').description('VMs that a source-agent may move');

  const register = addFlags(vm.command('register').argument('<name>', 'name to register', toName));
  register.description("register a running VM by its VMM's QMP socket; its RAM is discovered");
  register.addOption(
    register
      .createOption('--qmp <path>', "path of the QMP socket, on the agent's host")
      .argParser(toAbsolutePath)
      .makeOptionMandatory(),
  );
  register.action((name: string, options: VmOptions & { qmp: string }) =>
    withAgent(options, async ({ client, name: peer }) => {
      const request = { name, qmpPath: options.qmp };
      const found = await call(client, client.registerVm, request, { peer, timeoutMs: REGISTER_TIMEOUT_MS });
      printVm(io, options, found);
    }),
  );

  const list = addFlags(vm.command('list').description('list registered VMs'));
  list.action((options: VmOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      const { vms } = await call(client, client.listVms, {}, { peer });
      if (options.json) printJson(io.stdout, { vms: vms.map(toVmJson) });
      else
        io.stdout.write(
          formatTable(['VM', 'STATE', 'MEMORY', 'VMM', 'MIGRATION', 'NOTES'], vms.map(toVmRow)),
        );
    }),
  );

  const get = addFlags(vm.command('get').alias('show').argument('<name>', 'name of the VM', toName));
  get.description('show one VM').action((name: string, options: VmOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      printVm(io, options, await call(client, client.getVm, { name }, { peer }));
    }),
  );

  const unregister = addFlags(vm.command('unregister').argument('<name>', 'name of the VM', toName));
  unregister.description('forget a VM; the guest does not notice');
  unregister.action((name: string, options: VmOptions) =>
    withAgent(options, async ({ client, name: peer }) => {
      await call(client, client.unregisterVm, { name }, { peer });
      if (options.json) printJson(io.stdout, { name });
      else io.stdout.write(`${name} is not registered any more\n`);
    }),
  );
}

function addFlags(command: UmemCommand): UmemCommand {
  addAgent(command, 'source-agent');
  addJson(command);
  return command;
}

function withAgent(
  { agent }: VmOptions,
  work: (peer: Peer<VmServiceClient>) => Promise<void>,
): Promise<void> {
  return withPeer(VmServiceClient, 'source-agent', agent, work);
}

/** A VM as `--json` shows it: docs/cli.md has the keys. */
function toVmJson(vm: Vm): object {
  return {
    name: vm.name,
    state: toRunStateName(vm.runState),
    qmp: vm.qmpPath,
    ram: toRamBlocksJson(vm.blocks),
    vmmPid: vm.vmmPid === 0 ? null : vm.vmmPid,
    vmmVersion: orNull(vm.vmmVersion),
    migrationId: orNull(vm.migrationId),
    needsPlacementCache: vm.vhostUserDevices,
  };
}

function toVmRow(vm: Vm): string[] {
  return [
    vm.name,
    toRunStateName(vm.runState),
    formatMemory(vm),
    vm.vmmVersion,
    vm.migrationId,
    formatNeeds(vm),
  ];
}

/** What a migration of it needs that is not so by default; empty when nothing. */
function formatNeeds({ vhostUserDevices }: Vm): string {
  return vhostUserDevices.length === 0 ? '' : `needs placement cache: ${vhostUserDevices.join(', ')}`;
}

function formatMemory({ blocks }: Vm): string {
  return formatBytes(Number(blocks.reduce((sum, block) => sum + block.sizeBytes, 0n)));
}

function printVm(io: CliIo, { json }: VmOptions, vm: Vm): void {
  if (json) {
    printJson(io.stdout, toVmJson(vm));
    return;
  }
  const rows = [
    ['VM', vm.name],
    ['State', toRunStateName(vm.runState)],
    ['Memory', formatBlocks(vm.blocks)],
    ['VMM', vm.vmmPid === 0 ? vm.vmmVersion : `${vm.vmmVersion}, process ${vm.vmmPid}`],
    ['QMP', vm.qmpPath],
    ...(vm.migrationId === '' ? [] : [['Migration', vm.migrationId]]),
    ...(vm.vhostUserDevices.length === 0 ? [] : [['Notes', formatNeeds(vm)]]),
  ];
  io.stdout.write(formatTable(null, rows));
}
