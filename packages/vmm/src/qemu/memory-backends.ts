import { z } from 'zod';
import { HostPrecondition } from '@umem/errors';
import type { QmpClient } from './qmp-client.js';
import { QmpError } from './qmp-error.js';
import { memdevReply, memorySizeReply, qomListReply } from './qmp-replies.js';

/** One memory backend object, as QMP describes it. */
export interface MemoryBackend {
  readonly id: string;
  /** QOM type, for example memory-backend-file. */
  readonly type: string;
  readonly sizeBytes: number;
  readonly shared: boolean;
  /** memory-backend-file only: a file, or a directory in which QEMU made a nameless file. */
  readonly path: string | null;
}

/** All memory of a guest. */
export interface GuestMemory {
  readonly backends: readonly MemoryBackend[];
  /** Bytes of guest RAM; null when the VMM does not say. */
  readonly guestRamBytes: number | null;
}

/** Reads the memory backends, ordered by id. */
export async function readGuestMemory(qmp: QmpClient): Promise<GuestMemory> {
  const backends: MemoryBackend[] = [];
  for (const memdev of await qmp.execute('query-memdev', memdevReply)) {
    if (memdev.id === undefined)
      throw new HostPrecondition(
        `A memory backend of ${memdev.size} bytes has no id: start QEMU with -object memory-backend-file,id=ID,size=${memdev.size},mem-path=PATH,share=on`,
      );
    const path = `/objects/${memdev.id}`;
    const type = await qmp.execute('qom-get', z.string(), { path, property: 'type' });
    const properties = new Set(
      (await qmp.execute('qom-list', qomListReply, { path })).map(({ name }) => name),
    );
    const read = async <T>(property: string, schema: z.ZodType<T>, absent: T): Promise<T> =>
      properties.has(property) ? qmp.execute('qom-get', schema, { path, property }) : absent;
    backends.push({
      id: memdev.id,
      type,
      sizeBytes: memdev.size,
      shared: memdev.share ?? (await read('share', z.boolean(), false)),
      path: await read<string | null>('mem-path', z.string(), null),
    });
  }
  backends.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { backends, guestRamBytes: await readGuestRamBytes(qmp) };
}

async function readGuestRamBytes(qmp: QmpClient): Promise<number | null> {
  try {
    const size = await qmp.execute('query-memory-size-summary', memorySizeReply);
    return size['base-memory'] + size['plugged-memory'];
  } catch (error) {
    if (error instanceof QmpError && error.isCommandNotFound) return null;
    throw error;
  }
}
