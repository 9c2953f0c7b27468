import { call, IncomingServiceClient, Placement, VmRunState, type PreflightCheck, type Vm } from '@umem/api';
import { messageOf } from '@umem/errors';
import { withPeer } from '../client/connect.js';
import { ask } from './ask.js';
import type { Check } from './check.js';
import { checkService } from './service-checks.js';

export interface PeersReport {
  readonly checks: readonly Check[];
  readonly unreachable: readonly string[];
}

export interface PeerSettings {
  readonly addresses: readonly string[];
  /** Only this VM; all when unset. */
  readonly vm?: string;
  /** The launch profile to check with; empty: the VMM is started by somebody else. */
  readonly profile: string;
}

type Guest = Pick<Vm, 'name' | 'blocks' | 'vhostUserDevices'>;

/** What stands in for a VM when no source-agent names one. */
const EXAMPLE: Guest = {
  name: 'doctor',
  blocks: [{ blockId: 'ram0', sizeBytes: 64n << 20n, hostPageSizeBytes: 4096n }],
  vhostUserDevices: [],
};

/** Asks every agent how it is, and every destination whether the sources' VMs could come. */
export async function checkPeers({ addresses, vm, profile }: PeerSettings): Promise<PeersReport> {
  const peers = await Promise.all(addresses.map(checkService));
  const vms = peers.flatMap((peer) => peer.vms ?? []).filter((known) => known.runState !== VmRunState.MOVED);
  const wanted = vm === undefined ? vms : vms.filter(({ name }) => name === vm);
  const checks = peers.flatMap((peer) => peer.checks);
  if (vm !== undefined && wanted.length === 0)
    checks.push({
      subject: vm,
      check: 'registered',
      result: 'fail',
      finding: 'no source-agent among the given ones has this VM',
      fix: `umemctl vm register ${vm} --agent SOURCE --qmp PATH`,
    });
  for (const { address, receives } of peers) {
    if (!receives) continue;
    const guests = wanted.length > 0 ? wanted : [EXAMPLE];
    for (const guest of guests) checks.push(...(await preflight(address, guest, profile, wanted.length > 0)));
  }
  return { checks, unreachable: peers.filter(({ reachable }) => !reachable).map(({ address }) => address) };
}

async function preflight(
  address: string,
  { name: vm, blocks, vhostUserDevices }: Guest,
  profile: string,
  forVm: boolean,
): Promise<Check[]> {
  const subject = forVm ? `${vm} to ${address}` : `anything to ${address}`;
  // The one with which it can move.
  const placement = vhostUserDevices.length > 0 ? Placement.CACHE : Placement.COPY;
  const request = { name: vm, blocks, vhostUserDevices, profile, placement };
  const answer = await ask(() =>
    withPeer(IncomingServiceClient, 'destination-agent', address, ({ client, name }) =>
      call(client, client.preflight, request, { peer: name }),
    ),
  );
  if (answer.value) return answer.value.checks.map((check) => toCheck(subject, check));
  return [{ subject, check: 'preflight', result: 'fail', finding: messageOf(answer.error), fix: '' }];
}

function toCheck(subject: string, { check, passed, finding, fix }: PreflightCheck): Check {
  return { subject, check, result: passed ? 'pass' : 'fail', finding, fix };
}
