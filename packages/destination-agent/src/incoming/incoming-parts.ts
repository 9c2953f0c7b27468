import { toBlockMessages, type Placement } from '@umem/api';
import { preloadLibraryPath } from '@umem/native';
import type { RamBlock } from '@umem/ram';
import type { AgentConfig } from '../config.js';
import type { LaunchProfile } from '../launch/launch-profile.js';
import { RunDirectory } from '../launch/run-directory.js';
import { findSocketOwners } from './file-mappings.js';
import { vmmEnvironment, type VmmEnvironment } from '../launch/vmm-environment.js';
import type { PageServer } from '../page-server/page-server.js';
import { UmemLink } from '../page-server/umem-link.js';
import { ownUser, type Owner } from '../ram/file-owner.js';
import { RamFiles } from '../ram/ram-files.js';
import type { RamPlan } from '../ram/ram-plan.js';
import { requireReach } from '../ram/reach.js';

/** An incoming VM as it was asked for, checked. */
export interface IncomingRequest {
  readonly name: string;
  readonly blocks: readonly RamBlock[];
  /** Null: the VMM is launched by somebody else. */
  readonly profile: LaunchProfile | null;
  readonly owner: Owner;
  readonly placement: Placement;
  readonly postcopyFlags: number;
  /** Devices whose back end is another process that maps guest RAM. */
  readonly vhostUserDevices: readonly string[];
}

/** What an incoming VM takes up on this host besides its VMM. */
export interface IncomingParts {
  readonly ram: RamFiles;
  readonly run: RunDirectory;
  readonly link: UmemLink;
  readonly env: VmmEnvironment;
  readonly placement: Placement;
  /** Processes that map RAM files without being a VMM. */
  readonly pageServerPids: ReadonlySet<number>;
}

/** RAM of this host that will still be taken, in bytes. */
export interface PromisedRam {
  readonly smallBytes: number;
  readonly hugeBytes: number;
}

/** Makes them; leaves nothing behind when it fails. */
export async function makeParts(
  { name, owner, placement, postcopyFlags }: IncomingRequest,
  plan: RamPlan,
  { config, pageServer }: { config: AgentConfig; pageServer: PageServer },
): Promise<IncomingParts> {
  const undo: (() => Promise<void>)[] = [];
  try {
    const ram = await RamFiles.create(name, plan.blocks, owner);
    undo.unshift(() => ram.remove());
    const run = await RunDirectory.create(config.stateDir, name, owner);
    undo.unshift(() => run.remove());
    const link = await UmemLink.create(pageServer, {
      name,
      blocks: toBlockMessages(ram.files.map(({ block }) => block)),
      vmmUserId: owner.uid === ownUser().uid ? undefined : owner.uid,
      placement,
      postcopyFlags,
    });
    undo.unshift(() => link.delete({ guestNeverRan: true }));
    const { handoffSocketPath } = link.umem;
    for (const path of [handoffSocketPath, run.qmpPath]) await requireReach(path, owner);
    const pageServerPids = await findSocketOwners(handoffSocketPath);
    return {
      ram,
      run,
      link,
      pageServerPids,
      placement,
      env: vmmEnvironment(preloadLibraryPath(), ram.files, handoffSocketPath),
    };
  } catch (error) {
    for (const step of undo) await step();
    throw error;
  }
}
