import { join } from 'node:path';
import type { Placement, PreflightCheck } from '@umem/api';
import { messageOf } from '@umem/errors';
import type { AgentConfig } from '../config.js';
import type { LaunchProfile } from '../launch/launch-profile.js';
import { checkSocketPath } from '../launch/run-directory.js';
import type { PageServer } from '../page-server/page-server.js';
import type { Owner } from '../ram/file-owner.js';
import type { RamPlan } from '../ram/ram-plan.js';
import { failed, passed } from './check.js';
import { checkKernel, checkPreloadLibrary, checkUserfaultfd } from './host-checks.js';
import { checkPageServer } from './page-server-check.js';
import { checkPlacement } from './placement-check.js';
import { checkVmm } from './profile-checks.js';
import { checkHostPageSize, checkRamDir, checkRamSpace } from './ram-checks.js';
import { checkVhostUser } from './vhost-user-check.js';

/** An incoming VM as it would be prepared. */
export interface PreflightSubject {
  readonly name: string;
  readonly plan: RamPlan;
  readonly placement: Placement;
  /** Devices whose back end is another process that maps guest RAM. */
  readonly vhostUserDevices: readonly string[];
  /** Null: the VMM is launched by somebody else. */
  readonly profile: LaunchProfile | null;
  readonly owner: Owner;
  /** RAM on the tmpfs that VMs which are still filling will take, in bytes. */
  readonly promisedBytes: number;
}

/** This host, as far as it matters. */
export interface PreflightHost {
  readonly config: AgentConfig;
  readonly pageServer: PageServer;
}

/** Every check of the host for one VM, passed or not; touches nothing. */
export async function runPreflight(
  subject: PreflightSubject,
  host: PreflightHost,
): Promise<PreflightCheck[]> {
  const { name, plan, profile, owner, placement, vhostUserDevices, promisedBytes } = subject;
  const { ramDir, hugetlbfsDir, stateDir } = host.config;
  return [
    checkKernel(),
    await checkUserfaultfd(owner),
    await checkPreloadLibrary(owner),
    await checkPageServer(host.pageServer),
    await checkRamDir(ramDir, owner),
    await checkRamSpace(ramDir, plan, promisedBytes),
    ...(hugetlbfsDir === undefined ? [] : [await checkRamDir(hugetlbfsDir, owner, 'hugetlbfs')]),
    checkHostPageSize(plan),
    checkPlacement(placement, plan),
    checkVhostUser(placement, vhostUserDevices),
    checkSockets(stateDir, name),
    ...(profile ? await checkVmm(profile, placeholdersOf(subject, host.config)) : []),
  ];
}

function checkSockets(stateDir: string, name: string): PreflightCheck {
  const check = 'socket-path';
  try {
    checkSocketPath(stateDir, name);
  } catch (error) {
    return failed(check, messageOf(error), 'Use a shorter --state-dir or VM name');
  }
  return passed(check, `Sockets of "${name}" fit below ${stateDir}`);
}

/** What the placeholders would stand for. */
function placeholdersOf({ name, plan }: PreflightSubject, { stateDir }: AgentConfig) {
  return {
    name,
    qmpPath: join(stateDir, 'incoming', name, 'qmp.sock'),
    ram: plan.blocks.map(({ block, dir }) => ({ block, path: join(dir, name, block.blockId) })),
  };
}
