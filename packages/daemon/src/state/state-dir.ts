import { mkdir, stat } from 'node:fs/promises';
import { HostPrecondition, messageOf } from '@umem/errors';

/** Longest path of a state directory in bytes, so that sockets in it stay below the kernel's 107. */
const MAX_PATH_BYTES = 80;

/** Makes the directory with mode 0700, or checks the one that is there. Throws HostPrecondition. */
export async function prepareStateDir(path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new HostPrecondition(
      `State directory ${path} has a path of ${Buffer.byteLength(path)} bytes: use one of at most ${MAX_PATH_BYTES}, because sockets live in it`,
    );
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new HostPrecondition(`Cannot make state directory ${path}: ${messageOf(error)}`);
  }
  const { mode, uid } = await stat(path);
  const own = process.geteuid?.() ?? uid;
  if (uid !== own)
    throw new HostPrecondition(
      `State directory ${path} belongs to user ${uid}, not to ${own}: change its owner`,
    );
  if ((mode & 0o022) !== 0)
    throw new HostPrecondition(
      `State directory ${path} has mode ${(mode & 0o7777).toString(8)}, so others can write in it: chmod 700 ${path}`,
    );
}
