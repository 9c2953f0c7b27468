import { join } from 'node:path';
import { repositoryRoot } from '../kit/repository.js';
import { runCommand } from './command.js';
import type { Step } from './step.js';

/** For each target. Longer by `npm run fuzz`. */
const SECONDS = 0.7;
/** The same inputs each time: a change is what makes this fail. `npm run fuzz` takes others. */
const SEED = 1;

interface FuzzReport {
  readonly results: readonly { readonly target: string; readonly problem: string | null }[];
}

/** Runs every fuzz target for a moment, from its corpus, with the compiler that builds everything else. */
export function fuzzStep(name: string): Step {
  return {
    name,
    async run() {
      const program = join(repositoryRoot, 'native/fuzz/run.mjs');
      const args = ['--engine', 'driver', '--seconds', `${SECONDS}`, '--seed', `${SEED}`, '--json'];
      const { stdout, output, exitCode } = await runCommand(process.execPath, [program, ...args]);
      const results = parse(stdout)?.results ?? [];
      const failed = results.filter(({ problem }) => problem !== null);
      if (results.length === 0 || (exitCode !== 0 && failed.length === 0)) {
        return { passed: 0, failed: 1, skipped: 0, report: `FAILED the targets did not run\n${output}` };
      }
      return {
        passed: results.length - failed.length,
        failed: failed.length,
        skipped: 0,
        report: failed.map(({ target, problem }) => `FAILED ${target}\n${problem}`).join('\n'),
      };
    },
  };
}

function parse(stdout: string): FuzzReport | null {
  try {
    return JSON.parse(stdout) as FuzzReport;
  } catch {
    // It ended before its report; its words are in the output.
    return null;
  }
}
