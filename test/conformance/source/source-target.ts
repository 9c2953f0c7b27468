import { NotApplicable } from '../rule.js';
import { WireClient } from '../wire/client.js';
import type { VmMessage } from '../wire/messages.js';

/** A source under test. */
export interface SourceTarget {
  /** Of MigrationService, VmService and PageSource. */
  readonly address: string;
  readonly vm: string;
  /** RAM files by block id where this host has them; empty: pages of two lanes are compared instead. */
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
  readonly vm: string | undefined;
  readonly ramPaths: ReadonlyMap<string, string>;
  readonly listen: string;
}): Promise<SourceTarget> {
  const { address, ramPaths, listen } = options;
  return {
    address,
    vm: options.vm ?? (await firstVm(address)),
    ramPaths,
    listen,
    logs: () => '',
    close: async () => {},
  };
}

async function firstVm(address: string): Promise<string> {
  const client = new WireClient(address);
  try {
    const { vms } = await client.call<{ vms: VmMessage[] }>('VmService', 'ListVms', {});
    const vm = vms.find(({ run_state: state }) => state === 'VM_RUN_STATE_RUNNING') ?? vms[0];
    if (vm === undefined)
      throw new NotApplicable(`No VM is registered at ${address}: register one that runs`);
    return vm.name;
  } finally {
    client.close();
  }
}
