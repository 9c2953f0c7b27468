import { runCommand } from './command.js';
import type { Step } from './step.js';

const REPORT_LINES = 80;

/** A command that counts as one test: passed when it exits with 0. */
export function checkStep(name: string, command: string, args: readonly string[]): Step {
  return {
    name,
    async run() {
      const { exitCode, output } = await runCommand(command, args);
      if (exitCode === 0) return { passed: 1, failed: 0, skipped: 0, report: '' };
      const report = `${command} ${args.join(' ')} (exit code ${exitCode})\n${tail(output)}`;
      return { passed: 0, failed: 1, skipped: 0, report };
    },
  };
}

function tail(output: string): string {
  return output.trimEnd().split('\n').slice(-REPORT_LINES).join('\n');
}
