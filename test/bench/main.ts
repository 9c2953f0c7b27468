import { readBenchOptions, USAGE, UsageError, type BenchOptions } from './options.js';
import { machineState } from './machine.js';
import { formatTable, save, type ScenarioResult } from './report.js';
import type { Scenario } from './scenario.js';
import { createScenarios } from './scenarios.js';
import { warmUp } from './warm-up.js';

/** What runs beside the guests. */
const SERVICES_BYTES = 2 ** 30;

const DEFAULT_ROUNDS = 5;

async function main(args: readonly string[]): Promise<number> {
  const options = readBenchOptions(args);
  if (options === 'help') {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (options === 'list') {
    for (const { name } of createScenarios({ stallMs: 0 })) process.stdout.write(`${name}\n`);
    return 0;
  }
  const results = choose(options).map((scenario): ScenarioResult => ({ scenario, rounds: [] }));
  // A guest's RAM is there twice.
  await warmUp(SERVICES_BYTES + 2 * Math.max(...results.map(({ scenario }) => scenario.ramBytes)));
  try {
    await measure(results, options.rounds);
  } finally {
    // A round that failed does not undo those before it.
    const measured = results.filter(({ rounds }) => rounds.length > 0);
    process.stdout.write(formatTable(measured));
    process.stdout.write(`\nWritten to ${await save(measured)}\n`);
  }
  return 0;
}

function choose(options: BenchOptions): Scenario[] {
  const { names } = options;
  const scenarios = createScenarios(options);
  const unknown = names.find((part) => !scenarios.some(({ name }) => name.includes(part)));
  if (unknown !== undefined) {
    const all = scenarios.map(({ name }) => name).join('\n  ');
    throw new UsageError(`No scenario's name contains "${unknown}"; they are\n  ${all}`);
  }
  return scenarios.filter(({ name }) => names.length === 0 || names.some((part) => name.includes(part)));
}

async function measure(results: readonly ScenarioResult[], rounds: number | null): Promise<void> {
  const most = Math.max(...results.map(({ scenario }) => roundsOf(scenario, rounds)));
  for (let round = 1; round <= most; round++) {
    // The other way round every second time: what drifts, drifts for and against each.
    for (const result of round % 2 === 1 ? results : results.toReversed()) {
      const { scenario } = result;
      if (round > roundsOf(scenario, rounds)) continue;
      process.stderr.write(`round ${round} of ${roundsOf(scenario, rounds)}: ${scenario.name}\n`);
      result.rounds.push({ machine: machineState(), measured: await scenario.round() });
    }
  }
}

function roundsOf(scenario: Scenario, rounds: number | null): number {
  return rounds ?? scenario.rounds ?? DEFAULT_ROUNDS;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n\n${USAGE}\n`);
  process.exitCode = 2;
}
