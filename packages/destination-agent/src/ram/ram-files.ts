import { chmod, constants, lstat, mkdir, open, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AlreadyExists, HostPrecondition } from '@umem/errors';
import { formatBytes, type RamBlock } from '@umem/ram';
import { ownUser, type Owner } from './file-owner.js';
import { RAM_PAGE_SIZE, type PlannedBlock } from './ram-plan.js';

/** The sticky bit, which the kernel does not use on plain files: inode(7). */
const COMPLETE_MODE = 0o1600;

/** The file that backs one RAM block. */
export interface RamFile {
  /** The block with this host's page size. */
  readonly block: RamBlock;
  readonly path: string;
}

/**
 * The RAM files of one incoming VM, at `<dir>/<vm>/<block>`, where the directory is `--ram-dir` or, for
 * blocks on huge pages, `--hugetlbfs-dir`: sparse, of the blocks' exact sizes,
 * mode 0600, owned by the VMM's user. They stay as long as the VMM lives, also when the incoming VM
 * was forgotten: whoever moves the guest on opens them by their path.
 */
export class RamFiles {
  private constructor(
    private readonly dirs: readonly string[],
    readonly files: readonly RamFile[],
  ) {}

  /**
   * Makes the files; leaves nothing behind when it fails. A file that exists is never reused and a
   * symbolic link never followed. `vm` and block ids are names, and the directories can be written by
   * this process alone. Throws AlreadyExists, HostPrecondition.
   */
  static async create(vm: string, blocks: readonly PlannedBlock[], owner: Owner): Promise<RamFiles> {
    const dirs = [...new Set(blocks.map(({ dir }) => join(dir, vm)))];
    const files: RamFile[] = [];
    const ours: string[] = [];
    try {
      for (const dir of dirs) if (await makeDirectory(dir, vm)) ours.push(dir);
      for (const { block, dir } of blocks) {
        const path = join(dir, vm, block.blockId);
        await createSparse(path, vm, block.sizeBytes, owner, () => files.push({ block, path }));
      }
      // Passable for another user by name; the files in it are the owner's alone.
      for (const dir of dirs) await chmod(dir, owner.uid === ownUser().uid ? 0o700 : 0o711);
    } catch (error) {
      for (const { path } of files) await unlink(path);
      await removeDirectories(ours);
      throw error;
    }
    return new RamFiles(dirs, files);
  }

  /** Sizes of all blocks together, in bytes. */
  get sizeBytes(): number {
    return this.#sumOf(() => true);
  }

  /** Sizes of the blocks that lie on huge pages, in bytes. */
  get hugeBytes(): number {
    return this.#sumOf((block) => block.hostPageSizeBytes > RAM_PAGE_SIZE);
  }

  /** Bytes on the tmpfs that are not taken yet, and will be as pages arrive. */
  async unfilledBytes(): Promise<number> {
    let bytes = 0;
    for (const { block, path } of this.files)
      if (block.hostPageSizeBytes === RAM_PAGE_SIZE)
        bytes += Math.max(0, block.sizeBytes - (await allocatedBytesOf(path)));
    return bytes;
  }

  /**
   * Marks the files as complete: every page is there. A process that maps one from now on, as a vhost-user
   * back end may whenever its device starts, hands nothing over; our preload library looks for the mark.
   */
  async markComplete(): Promise<void> {
    for (const { path } of this.files) await ignoringMissing(chmod(path, COMPLETE_MODE));
  }

  /** Removes files and directory. What a VMM still maps stays in memory until it exits. Idempotent. */
  async remove(): Promise<void> {
    for (const { path } of this.files) await ignoringMissing(unlink(path));
    await removeDirectories(this.dirs);
  }

  #sumOf(counts: (block: RamBlock) => boolean): number {
    return this.files.reduce((sum, { block }) => sum + (counts(block) ? block.sizeBytes : 0), 0);
  }
}

async function removeDirectories(dirs: readonly string[]): Promise<void> {
  for (const dir of dirs) await ignoringMissing(rmdir(dir));
}

/** True when the directory was made here and now; an empty one that was left over is taken as it is. */
async function makeDirectory(dir: string, vm: string): Promise<boolean> {
  try {
    await mkdir(dir, { mode: 0o700 });
    return true;
  } catch (error) {
    if (!hasCode(error, 'EEXIST'))
      throw new HostPrecondition(`Cannot make ${dir} for the RAM of "${vm}"`, { cause: error });
  }
  const stats = await lstat(dir);
  if (stats.isDirectory() && stats.uid === ownUser().uid) return false;
  throw new AlreadyExists(
    `${dir} exists and is not a directory of this agent (${stats.isSymbolicLink() ? 'a symbolic link' : `mode ${stats.mode.toString(8)}, user ${stats.uid}`}): remove it`,
  );
}

async function createSparse(
  path: string,
  vm: string,
  sizeBytes: number,
  owner: Owner,
  onCreated: () => void,
): Promise<void> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
  let file;
  try {
    file = await open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, 0o600);
  } catch (error) {
    if (!hasCode(error, 'EEXIST'))
      throw new HostPrecondition(`Cannot make RAM file ${path}`, { cause: error });
    throw new AlreadyExists(
      `RAM file ${path} exists: a VMM of "${vm}" may still use it. When none does, remove it with: rm ${path}`,
    );
  }
  onCreated();
  try {
    await file.truncate(sizeBytes);
    await file.chmod(0o600);
    if (owner.uid !== ownUser().uid) await file.chown(owner.uid, owner.gid);
  } catch (cause) {
    throw new HostPrecondition(
      `Cannot give RAM file ${path} ${formatBytes(sizeBytes)} and owner ${owner.name}`,
      {
        cause,
      },
    );
  } finally {
    await file.close();
  }
}

async function allocatedBytesOf(path: string): Promise<number> {
  try {
    // st_blocks counts 512-byte units whatever the block size of the file system. stat(2).
    return (await stat(path)).blocks * 512;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** Somebody removed it before us: what was wanted is so. */
async function ignoringMissing(removal: Promise<void>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
