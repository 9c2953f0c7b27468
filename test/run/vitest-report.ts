import type { StepResult } from './step.js';

/** What we read of vitest's JSON report. */
export interface VitestReport {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages?: readonly string[] | null;
    }[];
  }[];
}

/**
 * Counts what really happened: a file that could not be loaded, and a run that failed although no
 * test did (an unhandled rejection, a crashed worker), are one failed test each.
 */
export function toStepResult(report: VitestReport, exitCode: number | null): StepResult {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const lines: string[] = [];
  for (const file of report.testResults) {
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      count.failed += 1;
      lines.push(`FAILED ${file.name}: ${file.message ?? 'it could not be loaded'}`);
    }
    for (const { fullName, status, failureMessages } of file.assertionResults) {
      if (status === 'passed') count.passed += 1;
      else if (status === 'failed') {
        count.failed += 1;
        lines.push(`FAILED ${fullName}`, ...(failureMessages ?? []));
      } else {
        count.skipped += 1;
        lines.push(`skipped ${fullName}`);
      }
    }
  }
  if (exitCode !== 0 && count.failed === 0) {
    count.failed += 1;
    lines.push(`FAILED vitest ended with exit code ${exitCode} although no test failed`);
  }
  return { ...count, report: lines.join('\n') };
}
