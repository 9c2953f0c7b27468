import { HostPrecondition } from '@umem/errors';
import type { QmpClient } from './qmp-client.js';
import { QmpError } from './qmp-error.js';
import { capabilitiesReply, nothing, parametersReply } from './qmp-replies.js';

/** Names of the capability that leaves shared RAM out of device state: QEMU's own, and its successor's. */
const IGNORE_SHARED_NAMES = ['ignore-shared', 'x-ignore-shared'] as const;

/**
 * Capabilities that change what goes through the device state's socket or that stop half-way;
 * those that somebody has switched on are off during umem's migration.
 */
const CONFLICTING = [
  'background-snapshot',
  'block',
  'compress',
  'dirty-bitmaps',
  'mapped-ram',
  'multifd',
  'pause-before-switchover',
  'postcopy-preempt',
  'postcopy-ram',
  'rdma-pin-all',
  'release-ram',
  'return-path',
  'switchover-ack',
  'x-colo',
  'zero-copy-send',
];

/** Bytes per second that never hold up a few hundred KiB of device state. */
const UNTHROTTLED = 2 ** 36;

interface Capability {
  readonly capability: string;
  readonly state: boolean;
}

/** Name of the capability that leaves out shared RAM; HostPrecondition when the VMM has none. */
export function findIgnoreShared(capabilities: readonly Capability[], version: string): string {
  for (const name of IGNORE_SHARED_NAMES)
    if (capabilities.some(({ capability }) => capability === name)) return name;
  throw new HostPrecondition(
    `${version} has no migration capability x-ignore-shared, so it cannot leave guest RAM out of its device state: use QEMU 4.0 or newer`,
  );
}

/** What to change so that only device state goes through the socket; `events` makes QEMU tell how it went. */
export function planCapabilities(capabilities: readonly Capability[], version: string): Capability[] {
  const wanted = new Map<string, boolean>([
    [findIgnoreShared(capabilities, version), true],
    ['events', true],
    ...CONFLICTING.map((name): [string, boolean] => [name, false]),
  ]);
  return capabilities.flatMap(({ capability, state }) => {
    const want = wanted.get(capability);
    return want === undefined || want === state ? [] : [{ capability, state: want }];
  });
}

/** Migration settings of a VMM that umem has changed, and what they were. */
export interface ChangedSettings {
  /** Puts everything back. Only while no migration is running. */
  restore(): Promise<void>;
}

/** Sets the VMM up for device state without RAM and without throttling. */
export async function applySettings(qmp: QmpClient, version: string): Promise<ChangedSettings> {
  const parameters = await qmp.execute('query-migrate-parameters', parametersReply);
  if (parameters['tls-creds'])
    throw new HostPrecondition(
      `Migration parameter tls-creds is "${parameters['tls-creds']}", so the VMM would speak TLS on a Unix socket: set it to "" with migrate-set-parameters`,
    );
  const changes = planCapabilities(
    await qmp.execute('query-migrate-capabilities', capabilitiesReply),
    version,
  );
  if (changes.length > 0) await setCapabilities(qmp, changes);
  const bandwidth = parameters['max-bandwidth'];
  const undo = async () => {
    if (changes.length > 0)
      await setCapabilities(
        qmp,
        changes.map(({ capability, state }) => ({ capability, state: !state })),
      );
  };
  try {
    await setBandwidth(qmp, UNTHROTTLED);
  } catch (error) {
    await undo();
    throw error;
  }
  return {
    restore: async () => {
      await undo();
      if (bandwidth !== undefined) await setBandwidth(qmp, bandwidth);
    },
  };
}

async function setCapabilities(qmp: QmpClient, capabilities: readonly Capability[]): Promise<void> {
  try {
    await qmp.execute('migrate-set-capabilities', nothing, { capabilities });
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    const names = capabilities
      .map(({ capability, state }) => `${capability}=${state ? 'on' : 'off'}`)
      .join(', ');
    throw new HostPrecondition(`The VMM does not accept migration capabilities ${names}`, { cause: error });
  }
}

async function setBandwidth(qmp: QmpClient, bytesPerSecond: number): Promise<void> {
  await qmp.execute('migrate-set-parameters', nothing, { 'max-bandwidth': bytesPerSecond });
}
