import { WireClient } from '../wire/client.js';
import type { VmMessage } from '../wire/messages.js';

/** A source under test. */
export interface SourceTarget {
  /** Of MigrationService, VmService and PageSource. */
  readonly address: string;
  readonly vm: string;
  /** Further VMs, for rules after which a guest cannot run there again. */
  readonly spareVms: readonly string[];
  /**
   * RAM files where this host has them: of `vm` by block id, of other VMs by "VM/block id". Empty: pages
   * of two lanes are compared instead.
   */
  readonly ramPaths: ReadonlyMap<string, string>;
  /** Where the source reaches the suite. */
  readonly listen: string;
  /** The end of what the services have logged; empty for somebody else's. */
  logs(): string;
  /** Ends what was started for the test. */
  close(): Promise<void>;
}

/** A source that somebody else runs. */
export async function foreignSource(options: {
  readonly address: string;
  readonly vms: readonly string[];
  readonly ramPaths: ReadonlyMap<string, string>;
  readonly listen: string;
}): Promise<SourceTarget> {
  const { address, ramPaths, listen } = options;
  const client = new WireClient(address);
  let vms = options.vms;
  try {
    // A VM that is not there is nobody's broken rule.
    for (const name of vms) await client.call('VmService', 'GetVm', { name });
    if (vms.length === 0) vms = [await firstVm(client)];
  } catch (cause) {
    throw new Error(`The source at ${address}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  } finally {
    client.close();
  }
  const [vm = '', ...spareVms] = vms;
  return {
    address,
    vm,
    spareVms,
    ramPaths,
    listen,
    logs: () => '',
    close: async () => {},
  };
}

async function firstVm(client: WireClient): Promise<string> {
  const { vms } = await client.call<{ vms: VmMessage[] }>('VmService', 'ListVms', {});
  const vm = vms.find(({ run_state: state }) => state === 'VM_RUN_STATE_RUNNING');
  if (vm === undefined) throw new Error('it has no VM that runs: register one');
  return vm.name;
}
