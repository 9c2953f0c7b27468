import { access, constants, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

/** Where a command lies: itself when it is a path, else its first match in PATH; null when nowhere. */
export async function findCommand(command: string, path = process.env['PATH'] ?? ''): Promise<string | null> {
  if (command.includes('/')) return isAbsolute(command) && (await isExecutable(command)) ? command : null;
  for (const dir of path.split(':')) {
    const candidate = join(dir, command);
    if (isAbsolute(dir) && (await isExecutable(candidate))) return candidate;
  }
  return null;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    // Whatever the reason is, it cannot be run.
    return false;
  }
}
