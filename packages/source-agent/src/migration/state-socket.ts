import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Path of the Unix socket on which the VMM writes its device state: in the agent's own directory, or
 * beside the QMP socket when the VMM runs as another user, who cannot enter the agent's.
 */
export async function toStateSocketPath(
  stateDir: string,
  migrationId: string,
  { qmpPath, pid }: { qmpPath: string; pid: number | null },
): Promise<string> {
  const dir = pid === null || (await isOwn(pid)) ? stateDir : dirname(qmpPath);
  return join(dir, `${migrationId}.state`);
}

async function isOwn(pid: number): Promise<boolean> {
  const { uid } = await stat(`/proc/${pid}`);
  return uid === process.getuid?.();
}
