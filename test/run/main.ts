import { createSteps } from './steps.js';
import type { Step, StepResult } from './step.js';
import { Tally } from './tally.js';

/**
 * What `npm test` runs after the set-up. Arguments choose steps by a part of their names:
 * `npm test -- lint e2e`.
 */
async function main(words: readonly string[]): Promise<number> {
  const all = await createSteps();
  const steps =
    words.length === 0 ? all : all.filter(({ name }) => words.some((word) => name.includes(word)));
  if (steps.length === 0) {
    process.stderr.write(`No such step. There are: ${all.map(({ name }) => name).join(', ')}\n`);
    return 2;
  }
  const width = Math.max(...steps.map(({ name }) => name.length));
  const tally = new Tally();
  for (const step of steps) {
    const startedMs = Date.now();
    const result = await run(step);
    tally.add(result);
    const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
    process.stdout.write(`${step.name.padEnd(width)}  ${describe(result)}  ${seconds} s\n`);
    if (result.report !== '') process.stdout.write(`${result.report}\n`);
  }
  process.stdout.write(`${tally.toString()}\n`);
  return tally.succeeded ? 0 : 1;
}

async function run(step: Step): Promise<StepResult> {
  try {
    return await step.run();
  } catch (error) {
    const report = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { passed: 0, failed: 1, skipped: 0, report };
  }
}

function describe({ passed, failed, skipped }: StepResult): string {
  return [
    failed === 0 ? 'ok    ' : 'FAILED',
    `${passed} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ].join('  ');
}

process.exitCode = await main(process.argv.slice(2));
