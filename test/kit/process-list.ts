import { readFile, readdir } from 'node:fs/promises';
import { eventuallyTrue } from './eventually.js';
import { isAlive } from './process-memory.js';

/** Processes with this text in their command line. */
export async function findProcessesNaming(text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const named = await Promise.all(
    pids.map(async (pid) => {
      const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return pid !== process.pid && commandLine.includes(text);
    }),
  );
  return pids.filter((_, index) => named[index]);
}

/** Ends them with SIGKILL and waits for that; `text` must be unique to what the caller started. */
export async function killProcessesNaming(text: string): Promise<void> {
  const pids = await findProcessesNaming(text);
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // Ended by itself a moment ago.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  for (const pid of pids) await eventuallyTrue(`process ${pid} to end`, async () => !(await isAlive(pid)));
}
