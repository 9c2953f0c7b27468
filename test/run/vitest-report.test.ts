import { describe, expect, it } from 'vitest';
import { toStepResult, type VitestReport } from './vitest-report.js';

function reportOf(...files: VitestReport['testResults'][number][]): VitestReport {
  return { success: true, testResults: files };
}

describe('the totals of a vitest run', () => {
  it('count passed, failed and skipped tests', () => {
    const report = reportOf({
      name: 'a.test.ts',
      status: 'failed',
      assertionResults: [
        { fullName: 'one', status: 'passed' },
        { fullName: 'two', status: 'failed', failureMessages: ['no'] },
        { fullName: 'three', status: 'pending' },
        { fullName: 'four', status: 'todo' },
      ],
    });
    expect(toStepResult(report, 1)).toMatchObject({ passed: 1, failed: 1, skipped: 2 });
  });

  it('count a file that cannot be loaded as failed', () => {
    const report = reportOf(
      { name: 'a.test.ts', status: 'failed', message: 'SyntaxError', assertionResults: [] },
      { name: 'b.test.ts', status: 'passed', assertionResults: [{ fullName: 'one', status: 'passed' }] },
    );
    const result = toStepResult(report, 1);
    expect(result).toMatchObject({ passed: 1, failed: 1, skipped: 0 });
    expect(result.report).toContain('SyntaxError');
  });

  it('count a failed hook as failed although every test of the file passed', () => {
    const report = reportOf({
      name: 'a.test.ts',
      status: 'failed',
      message: 'afterAll failed',
      assertionResults: [{ fullName: 'one', status: 'passed' }],
    });
    expect(toStepResult(report, 1)).toMatchObject({ passed: 1, failed: 1 });
  });

  it('do not hide a run that failed outside of its tests', () => {
    const report = reportOf({
      name: 'a.test.ts',
      status: 'passed',
      assertionResults: [{ fullName: 'one', status: 'passed' }],
    });
    expect(toStepResult(report, 1)).toMatchObject({ passed: 1, failed: 1 });
  });

  it('name every skipped test', () => {
    const report = reportOf({
      name: 'a.test.ts',
      status: 'passed',
      assertionResults: [{ fullName: 'needs two hosts', status: 'skipped' }],
    });
    expect(toStepResult(report, 0).report).toContain('needs two hosts');
  });
});
