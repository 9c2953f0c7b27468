import { chmod, chown, lstat, mkdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AlreadyExists, HostPrecondition } from '@umem/errors';
import { ownUser, type Owner } from '../ram/file-owner.js';
import { VmmLog } from './vmm-log.js';

/** Longest path of a Unix socket in bytes. unix(7). */
const MAX_SOCKET_PATH_BYTES = 107;

/** Everything that may lie in a run directory. */
const FILES = { qmp: 'qmp.sock', load: 'load.sock', log: 'vmm.log' } as const;

/**
 * `<state-dir>/incoming/<vm>`: where a VMM makes its sockets. It belongs to the VMM's user, so
 * nothing in it is opened by name after it was given away.
 */
export class RunDirectory {
  private constructor(
    readonly path: string,
    readonly owner: Owner,
    readonly log: VmmLog,
  ) {}

  /** Where the VMM listens for QMP. */
  get qmpPath(): string {
    return join(this.path, FILES.qmp);
  }

  /** Where the VMM listens for device state. */
  get loadPath(): string {
    return join(this.path, FILES.load);
  }

  /**
   * Makes the directory of a VM whose RAM files have just been made, so that what is left over in
   * it belongs to no VMM. Throws HostPrecondition, AlreadyExists.
   */
  static async create(stateDir: string, vm: string, owner: Owner): Promise<RunDirectory> {
    const parent = join(stateDir, 'incoming');
    const path = join(parent, vm);
    checkSocketPath(stateDir, vm);
    try {
      await mkdir(parent, { recursive: true, mode: 0o700 });
      // A VMM of another user must be able to pass, by name.
      if (owner.uid !== ownUser().uid) for (const dir of [stateDir, parent]) await chmod(dir, 0o711);
      await takeOver(path);
      await mkdir(path, { mode: 0o700 });
      const run = new RunDirectory(path, owner, await VmmLog.create(join(path, FILES.log)));
      await run.#giveAway();
      return run;
    } catch (cause) {
      if (cause instanceof AlreadyExists) throw cause;
      throw new HostPrecondition(`Cannot make ${path} for the VMM of "${vm}"`, { cause });
    }
  }

  async #giveAway(): Promise<void> {
    if (this.owner.uid === ownUser().uid) return;
    try {
      await chown(this.path, this.owner.uid, this.owner.gid);
    } catch (error) {
      await this.remove();
      throw error;
    }
  }

  /** Removes the directory and closes the log. Idempotent. */
  async remove(): Promise<void> {
    await this.log.close();
    await removeContents(this.path);
  }
}

/** Refuses names whose sockets the kernel could not bind. Throws HostPrecondition with the numbers. */
export function checkSocketPath(stateDir: string, vm: string): void {
  const longest = join(stateDir, 'incoming', vm, FILES.load);
  const length = Buffer.byteLength(longest);
  if (length > MAX_SOCKET_PATH_BYTES)
    throw new HostPrecondition(
      `The VMM's socket ${longest} has a path of ${length} bytes and the kernel allows ${MAX_SOCKET_PATH_BYTES}: use a shorter --state-dir or VM name`,
    );
}

/** Removes what an earlier VM of the name left. */
async function takeOver(path: string): Promise<void> {
  let stats;
  try {
    stats = await lstat(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
  if (!stats.isDirectory()) throw new AlreadyExists(`${path} exists and is not a directory: remove it`);
  await removeContents(path);
}

/** By known names and without following links: another user may have put anything in. */
async function removeContents(path: string): Promise<void> {
  const steps = [...Object.values(FILES).map((file) => () => unlink(join(path, file))), () => rmdir(path)];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      // Gone already, which is what was wanted.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
}
