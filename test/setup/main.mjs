#!/usr/bin/env node
/**
 * Brings a fresh Debian 12 machine with Node.js to the point where the project runs, installs only
 * what is missing and says what and why. Plain JavaScript without dependencies: it runs before
 * `npm ci`.
 *
 *   node test/setup/main.mjs [--then demo|test|bench|conformance [arguments…]]
 */
import { requireNode } from './node-version.mjs';
import { installDebianPackages } from './debian-packages.mjs';
import { installNodeModules } from './node-modules.mjs';
import { buildAll } from './build.mjs';
import { fetchGuestKernel } from './guest-kernel.mjs';
import { buildGuestImage } from './guest-image.mjs';
import { NEXT_COMMANDS, runNext } from './next-command.mjs';
import { SetupError, say } from './report.mjs';

const [option, next, ...nextArguments] = process.argv.slice(2);

try {
  if (option !== undefined && (option !== '--then' || !(next in NEXT_COMMANDS))) {
    throw new SetupError(
      `Usage: node test/setup/main.mjs [--then ${Object.keys(NEXT_COMMANDS).join('|')} [arguments…]]`,
    );
  }
  const startedMs = Date.now();
  requireNode();
  const done = [
    await installDebianPackages(next),
    await installNodeModules(),
    await buildAll(),
    await fetchGuestKernel(),
    await buildGuestImage(),
  ];
  const news = done.filter((line) => line !== null);
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
  say(`Set-up ${news.length === 0 ? 'was complete' : `done: ${news.join(', ')}`} (${seconds} s).`);
  if (next !== undefined) process.exitCode = await runNext(next, nextArguments);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
