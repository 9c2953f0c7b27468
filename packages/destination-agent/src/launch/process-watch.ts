import { readFile } from 'node:fs/promises';

/** How often a process that is not our child is looked at, in milliseconds. */
const INTERVAL_MS = 1_000;

/** Identity of a process: its start time in clock ticks after boot; null when there is none. proc(5). */
export async function startTimeOf(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The command, field 2, may contain spaces and parentheses; field 3 is the state, 22 the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    // No entry: no process.
    return null;
  }
}

/**
 * Calls back once when a process that is not our child has ended. The kernel tells nobody but the
 * parent, so it is looked at; nothing waits for the answer. Does not keep the event loop alive.
 */
export function watchProcess(pid: number, onExit: () => void, intervalMs = INTERVAL_MS): { stop(): void } {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async (first: string | null): Promise<void> => {
    const now = await startTimeOf(pid);
    if (stopped) return;
    if (now === null || now !== first) {
      stopped = true;
      onExit();
    } else timer = setTimeout(() => void look(first), intervalMs).unref();
  };
  void startTimeOf(pid).then(look);
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
