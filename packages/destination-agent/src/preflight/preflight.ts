import { join } from 'node:path';
import type { PreflightCheck } from '@umem/api';
import { messageOf } from '@umem/errors';
import type { RamBlock } from '@umem/ram';
import type { AgentConfig } from '../config.js';
import type { LaunchProfile } from '../launch/launch-profile.js';
import { checkSocketPath } from '../launch/run-directory.js';
import type { PageServer } from '../page-server/page-server.js';
import type { Owner } from '../ram/file-owner.js';
import { RAM_PAGE_SIZE } from '../ram/ram-files.js';
import { failed, passed } from './check.js';
import { checkHugePages, checkPreloadLibrary, checkUserfaultfd } from './host-checks.js';
import { checkPageServer } from './page-server-check.js';
import { checkVmm } from './profile-checks.js';
import { checkHostPageSize, checkRamDir, checkRamSpace } from './ram-checks.js';

/** An incoming VM as it would be prepared. */
export interface PreflightSubject {
  readonly name: string;
  readonly blocks: readonly RamBlock[];
  /** Null: the VMM is launched by somebody else. */
  readonly profile: LaunchProfile | null;
  readonly owner: Owner;
  /** RAM that VMs which are still filling will take, in bytes. */
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
  const { name, blocks, profile, owner, promisedBytes } = subject;
  const { ramDir, stateDir } = host.config;
  return [
    await checkUserfaultfd(owner),
    await checkPreloadLibrary(owner),
    await checkPageServer(host.pageServer),
    await checkRamDir(ramDir, owner),
    await checkRamSpace(ramDir, blocks, promisedBytes),
    checkHostPageSize(blocks),
    await checkHugePages(),
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
function placeholdersOf({ name, blocks }: PreflightSubject, { ramDir, stateDir }: AgentConfig) {
  return {
    name,
    qmpPath: join(stateDir, 'incoming', name, 'qmp.sock'),
    ram: blocks.map((block) => ({
      block: { ...block, hostPageSizeBytes: RAM_PAGE_SIZE },
      path: join(ramDir, name, block.blockId),
    })),
  };
}
