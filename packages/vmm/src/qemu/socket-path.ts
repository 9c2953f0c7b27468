import { InvalidArgument } from '@umem/errors';

/** Longest path of a Unix socket, in bytes. unix(7): sun_path, with its final zero. */
const MAX_SOCKET_PATH_BYTES = 107;

/** Throws InvalidArgument when no Unix socket can have this path. */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes === 0 || bytes > MAX_SOCKET_PATH_BYTES || path.includes('\0'))
    throw new InvalidArgument(
      `Unix socket path ${JSON.stringify(path)} has ${bytes} bytes: it must have 1 to ${MAX_SOCKET_PATH_BYTES}; use a shorter directory`,
      { metadata: { path, bytes: String(bytes) } },
    );
}
