import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';

/** What may follow the set-up: programs of the test package, built by then. */
export const NEXT_COMMANDS = {
  demo: 'test/dist/demo/main.js',
  test: 'test/dist/run/main.js',
  bench: 'test/dist/bench/main.js',
  conformance: 'test/dist/conformance/main.js',
};

/** Runs it in the foreground; answers its exit code. */
export function runNext(next, args) {
  const child = spawn(process.execPath, [join(ROOT, NEXT_COMMANDS[next]), ...args], { stdio: 'inherit' });
  // Ctrl-C reaches the child as well: it cleans up, and this process waits for that.
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}
