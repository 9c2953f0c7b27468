import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryRoot } from '../kit/repository.js';
import { describeMachine, type MachineState } from './machine.js';
import type { Measurement, Scenario } from './scenario.js';
import { ratios, summarize, type Summaries, type Summary } from './statistics.js';

/** One round of a scenario. */
export interface Round {
  /** The machine just before it. */
  readonly machine: MachineState;
  readonly measured: Measurement;
}

/** A scenario with its rounds so far. */
export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly rounds: Round[];
}

/** A table per scenario, with ratios to its baseline when that was measured, too. */
export function formatTable(results: readonly ScenarioResult[]): string {
  return results.map((result) => formatScenario(result, results)).join('');
}

function formatScenario(result: ScenarioResult, results: readonly ScenarioResult[]): string {
  const { scenario, rounds } = result;
  const compared = ratiosOf(result, results);
  const rows = Object.entries(summariesOf(result)).map(([metric, summary]) =>
    formatRow(metric, summary, compared?.[metric]),
  );
  const loads = rounds.map(({ machine }) => machine.load1m);
  const title =
    `\n${scenario.name} (${rounds.length} rounds: median, lowest, highest` +
    `${compared ? `, ratio to ${scenario.baseline}` : ''}; ` +
    `load ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)})\n`;
  return title + rows.join('');
}

function formatRow(metric: string, { median, min, max }: Summary, ratio: number | undefined): string {
  const cells = [median, min, max].map((value) => value.toFixed(Math.abs(value) < 100 ? 1 : 0).padStart(10));
  const last = ratio === undefined || Number.isNaN(ratio) ? '' : `x${ratio.toFixed(2)}`.padStart(10);
  return `  ${metric.padEnd(24)}${cells.join('')}${last}\n`;
}

/** Writes results/bench.json; answers its path. */
export async function save(results: readonly ScenarioResult[]): Promise<string> {
  const folder = join(repositoryRoot, 'results');
  const path = join(folder, 'bench.json');
  const report = results.map((result) => ({
    name: result.scenario.name,
    description: result.scenario.description,
    baseline: result.scenario.baseline ?? null,
    summary: summariesOf(result),
    ratios: ratiosOf(result, results),
    rounds: result.rounds,
  }));
  await mkdir(folder, { recursive: true });
  const at = new Date().toISOString();
  await writeFile(
    path,
    `${JSON.stringify({ at, machine: describeMachine(), scenarios: report }, null, 2)}\n`,
  );
  return path;
}

function summariesOf({ rounds }: ScenarioResult): Summaries {
  return summarize(rounds.map(({ measured }) => measured));
}

function ratiosOf(
  result: ScenarioResult,
  results: readonly ScenarioResult[],
): Readonly<Record<string, number>> | null {
  const { baseline } = result.scenario;
  const other = results.find(({ scenario }) => scenario.name === baseline);
  return other === undefined ? null : ratios(summariesOf(result), summariesOf(other));
}
