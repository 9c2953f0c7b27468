import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryRoot } from '../kit/repository.js';
import { runCommand } from './command.js';
import type { Step } from './step.js';
import { toStepResult, type VitestReport } from './vitest-report.js';

const VITEST = join(repositoryRoot, 'node_modules/.bin/vitest');
const RESULTS = join(repositoryRoot, '.cache/test-results');

/** Runs vitest in a workspace folder; `filters` choose test files by a part of their path. */
export function vitestStep(name: string, folder: string, filters: readonly string[] = []): Step {
  return {
    name,
    async run() {
      const reportFile = join(RESULTS, `${name.replaceAll('/', '-')}.json`);
      await mkdir(RESULTS, { recursive: true });
      await rm(reportFile, { force: true });
      const { exitCode, output } = await runCommand(process.execPath, [
        VITEST,
        ...['run', ...filters, '--root', join(repositoryRoot, folder)],
        ...['--exclude', '**/dist/**', '--exclude', '**/node_modules/**'],
        ...['--reporter', 'default', '--reporter', 'json', '--outputFile.json', reportFile],
      ]);
      const text = await readFile(reportFile, 'utf8').catch(() => null);
      if (text === null) {
        return { passed: 0, failed: 1, skipped: 0, report: `FAILED vitest left no report\n${output}` };
      }
      const result = toStepResult(JSON.parse(text) as VitestReport, exitCode);
      // The log has what failed tests printed: the services' own words.
      return result.failed === 0 ? result : { ...result, report: `${result.report}\n\n${output}` };
    },
  };
}
