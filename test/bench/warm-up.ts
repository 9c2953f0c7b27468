import { open, rm } from 'node:fs/promises';

const CHUNK_BYTES = 16 * 2 ** 20;

/**
 * Has the host give this machine all the memory that the rounds will use: where it is a virtual
 * machine itself, the first touch of a page costs several times what later ones do.
 */
export async function warmUp(bytes: number): Promise<void> {
  const path = `/dev/shm/umem-warm-up-${process.pid}`;
  const file = await open(path, 'wx', 0o600);
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES, 1);
    for (let offset = 0; offset < bytes; offset += CHUNK_BYTES)
      await file.write(chunk, 0, CHUNK_BYTES, offset);
  } finally {
    await file.close();
    await rm(path);
  }
}
