import { existsSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';
import { run } from './run.mjs';
import { say } from './report.mjs';

/** Runs `npm ci` when node_modules is missing or older than the lock; answers what it did, or null. */
export async function installNodeModules() {
  // npm writes this file last: it is there only when an installation was finished.
  const marker = join(ROOT, 'node_modules', '.package-lock.json');
  const lock = join(ROOT, 'package-lock.json');
  if (existsSync(marker) && statSync(marker).mtimeMs >= statSync(lock).mtimeMs) return null;

  say(
    `Installing npm packages (npm ci: ${existsSync(marker) ? 'package-lock.json is newer' : 'none are there'}).`,
  );
  await run('npm', ['ci', '--no-progress']);
  // npm may keep an older time on it when nothing changed.
  utimesSync(marker, new Date(), new Date());
  return 'npm packages';
}
