import { call, IncomingServiceClient, UmemdClient, VmServiceClient, type Vm } from '@umem/api';
import { messageOf, Unimplemented } from '@umem/errors';
import { withPeer } from '../client/connect.js';
import { HealthClient } from '../client/health.js';
import { ask, type Asked } from './ask.js';
import type { Check } from './check.js';

/** What an address said of itself. */
export interface ServiceReport {
  readonly address: string;
  readonly reachable: boolean;
  readonly checks: readonly Check[];
  /** VMs of a source-agent; null when it is none. */
  readonly vms: readonly Vm[] | null;
  readonly receives: boolean;
}

/** Asks one address how it is and what it serves. */
export async function checkService(address: string): Promise<ServiceReport> {
  const subject = `agent ${address}`;
  const begun = performance.now();
  const health = await ask(() =>
    withPeer(HealthClient, 'agent', address, ({ client, name }) =>
      call(client, client.check, {}, { peer: name }),
    ),
  );
  const unreachable = health.error !== null && !(health.error instanceof Unimplemented);
  if (unreachable) {
    const check: Check = {
      subject,
      check: 'reachable',
      result: 'fail',
      finding: messageOf(health.error),
      fix: 'start the service, or check the address and the firewall',
    };
    return { address, reachable: false, checks: [check], vms: null, receives: false };
  }
  const reachable: Check = {
    subject,
    check: 'reachable',
    result: 'pass',
    finding: `answered within ${Math.ceil(performance.now() - begun)} ms`,
    fix: '',
  };
  const [vms, incomings, umems] = await Promise.all([
    ask(() =>
      withPeer(VmServiceClient, 'source-agent', address, ({ client, name }) =>
        call(client, client.listVms, {}, { peer: name }),
      ),
    ),
    ask(() =>
      withPeer(IncomingServiceClient, 'destination-agent', address, ({ client, name }) =>
        call(client, client.listIncomings, {}, { peer: name }),
      ),
    ),
    ask(() =>
      withPeer(UmemdClient, 'page-server', address, ({ client, name }) =>
        call(client, client.listUmems, {}, { peer: name }),
      ),
    ),
  ]);
  const checks = [
    reachable,
    checkHealth(subject, health.value),
    checkServices(subject, [
      ['source-agent', vms],
      ['destination-agent', incomings],
      ['page-server', umems],
    ]),
  ];
  return {
    address,
    reachable: true,
    checks,
    vms: vms.value?.vms ?? null,
    receives: incomings.value !== null,
  };
}

function checkHealth(subject: string, status: string | null): Check {
  if (status === 'SERVING') return { subject, check: 'health', result: 'pass', finding: status, fix: '' };
  return {
    subject,
    check: 'health',
    result: status === null ? 'warn' : 'fail',
    finding: status ?? 'no grpc.health.v1 service',
    fix: status === null ? 'ask whoever runs it whether it is a umem service' : "look at the service's log",
  };
}

/** The contract's version is in the name of its package: whoever serves umem.v1 speaks it. */
function checkServices(subject: string, asked: readonly [string, Asked<unknown>][]): Check {
  const served = asked.filter(([, { error }]) => error === null).map(([kind]) => kind);
  const broken = asked.find(([, { error }]) => error !== null && !(error instanceof Unimplemented));
  if (broken)
    return {
      subject,
      check: 'version',
      result: 'fail',
      finding: `as ${broken[0]}: ${messageOf(broken[1].error)}`,
      fix: "look at the service's log",
    };
  if (served.length === 0)
    return {
      subject,
      check: 'version',
      result: 'fail',
      finding: 'serves nothing of umem.v1',
      fix: 'give the address of a umem service of the same major version',
    };
  return { subject, check: 'version', result: 'pass', finding: `umem.v1, ${served.join(', ')}`, fix: '' };
}
