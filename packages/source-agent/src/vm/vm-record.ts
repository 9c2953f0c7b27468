import { z } from 'zod';

/** What outlives the agent of one VM. */
export const vmRecordSchema = z.strictObject({
  name: z.string(),
  qmpPath: z.string(),
  /** As the VMM said last; shown while it does not answer. */
  blocks: z.array(
    z.strictObject({ blockId: z.string(), sizeBytes: z.number(), hostPageSizeBytes: z.number() }),
  ),
  version: z.string(),
  /** Absent in what older agents wrote. */
  vhostUserDevices: z.array(z.string()).default([]),
  /** The migration that moves or has moved it; empty when there is none. */
  migrationId: z.string(),
  /** Set from the moment from which the guest must never run here again. */
  moved: z.strictObject({ destination: z.string(), vmmPid: z.number().nullable() }).nullable(),
});

export type VmRecord = z.infer<typeof vmRecordSchema>;

/** Of a VM that has not been looked at. */
export function newRecord(name: string, qmpPath: string): VmRecord {
  return { name, qmpPath, blocks: [], version: '', vhostUserDevices: [], migrationId: '', moved: null };
}
