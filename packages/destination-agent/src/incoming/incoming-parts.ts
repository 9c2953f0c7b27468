import { toBlockMessages } from '@umem/api';
import { preloadLibraryPath } from '@umem/native';
import type { RamBlock } from '@umem/ram';
import type { AgentConfig } from '../config.js';
import type { LaunchProfile } from '../launch/launch-profile.js';
import { RunDirectory } from '../launch/run-directory.js';
import { vmmEnvironment, type VmmEnvironment } from '../launch/vmm-environment.js';
import type { PageServer } from '../page-server/page-server.js';
import { UmemLink } from '../page-server/umem-link.js';
import { ownUser, type Owner } from '../ram/file-owner.js';
import { RamFiles } from '../ram/ram-files.js';
import { requireReach } from '../ram/reach.js';

/** An incoming VM as it was asked for, checked. */
export interface IncomingRequest {
  readonly name: string;
  readonly blocks: readonly RamBlock[];
  /** Null: the VMM is launched by somebody else. */
  readonly profile: LaunchProfile | null;
  readonly owner: Owner;
}

/** What an incoming VM takes up on this host besides its VMM. */
export interface IncomingParts {
  readonly ram: RamFiles;
  readonly run: RunDirectory;
  readonly link: UmemLink;
  readonly env: VmmEnvironment;
}

/** Makes them; leaves nothing behind when it fails. */
export async function makeParts(
  { name, blocks, owner }: IncomingRequest,
  { config, pageServer }: { config: AgentConfig; pageServer: PageServer },
): Promise<IncomingParts> {
  const undo: (() => Promise<void>)[] = [];
  try {
    const ram = await RamFiles.create(config.ramDir, name, blocks, owner);
    undo.unshift(() => ram.remove());
    const run = await RunDirectory.create(config.stateDir, name, owner);
    undo.unshift(() => run.remove());
    const link = await UmemLink.create(pageServer, {
      name,
      blocks: toBlockMessages(ram.files.map(({ block }) => block)),
      vmmUserId: owner.uid === ownUser().uid ? undefined : owner.uid,
    });
    undo.unshift(() => link.delete({ guestNeverRan: true }));
    const { handoffSocketPath } = link.umem;
    for (const path of [handoffSocketPath, run.qmpPath]) await requireReach(path, owner);
    return { ram, run, link, env: vmmEnvironment(preloadLibraryPath(), ram.files, handoffSocketPath) };
  } catch (error) {
    for (const step of undo) await step();
    throw error;
  }
}
