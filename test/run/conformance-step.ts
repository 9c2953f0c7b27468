import { join } from 'node:path';
import { repositoryRoot } from '../kit/repository.js';
import { runCommand } from './command.js';
import type { Step } from './step.js';

interface ConformanceReport {
  readonly results: readonly { readonly rule: string; readonly result: string; readonly detail: string }[];
}

/** Runs the conformance suite against our own services; each rule is a test. */
export function conformanceStep(name: string): Step {
  return {
    name,
    async run() {
      const program = join(repositoryRoot, 'test/dist/conformance/main.js');
      const { stdout, output, exitCode } = await runCommand(process.execPath, [program, '--json']);
      const { results } = parse(stdout);
      const count = (wanted: string): number => results.filter(({ result }) => result === wanted).length;
      const told = results.filter(({ result }) => result !== 'ok');
      const failed = count('FAIL');
      // It ended badly without a rule to blame.
      const crashed = exitCode !== 0 && failed === 0;
      return {
        passed: count('ok'),
        failed: crashed ? 1 : failed,
        skipped: count('n/a'),
        report: crashed
          ? output
          : told.map(({ rule, result, detail }) => `${result} ${rule}: ${detail}`).join('\n'),
      };
    },
  };
}

function parse(stdout: string): ConformanceReport {
  try {
    return JSON.parse(stdout) as ConformanceReport;
  } catch {
    return { results: [] };
  }
}
