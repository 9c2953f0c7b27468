import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot } from '../kit/repository.js';
import type { Measurement, Scenario } from './scenario.js';
import { scenarios } from './scenarios.js';
import { summarize, type Summary } from './statistics.js';
import { warmUp } from './warm-up.js';

const USAGE = `Usage: npm run bench -- [--rounds N] [WORD…]

Measures the scenarios whose name contains one of the words (default: all), N times each
(default 5), interleaved, and writes results/bench.json.`;

/** Two guests' RAM of the largest scenario, and what runs beside them. */
const WARM_UP_BYTES = 5 * 2 ** 30;

interface ScenarioResult {
  readonly scenario: Scenario;
  readonly rounds: Measurement[];
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string', default: '5' }, help: { type: 'boolean', short: 'h' } },
  });
  const rounds = Number(values.rounds);
  if (values.help === true || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write(`${USAGE}\n`);
    return values.help === true ? 0 : 2;
  }
  const chosen = scenarios.filter(
    ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
  );
  const results = await measure(chosen, rounds);
  process.stdout.write(formatTable(results));
  process.stdout.write(`\nWritten to ${await save(results)}\n`);
  return 0;
}

async function measure(chosen: readonly Scenario[], rounds: number): Promise<ScenarioResult[]> {
  await warmUp(WARM_UP_BYTES);
  const results = chosen.map((scenario) => ({ scenario, rounds: [] as Measurement[] }));
  for (let round = 1; round <= rounds; round++) {
    for (const result of results) {
      process.stderr.write(`round ${round} of ${rounds}: ${result.scenario.name}\n`);
      result.rounds.push(await result.scenario.round());
    }
  }
  return results;
}

function formatTable(results: readonly ScenarioResult[]): string {
  return results
    .map(({ scenario, rounds }) => {
      const rows = Object.entries(summarize(rounds)).map(([metric, summary]) => formatRow(metric, summary));
      return `\n${scenario.name} (${rounds.length} rounds: median, lowest, highest)\n${rows.join('')}`;
    })
    .join('');
}

function formatRow(metric: string, { median, min, max }: Summary): string {
  const cells = [median, min, max].map((value) => value.toFixed(value < 100 ? 1 : 0).padStart(10));
  return `  ${metric.padEnd(16)}${cells.join('')}\n`;
}

async function save(results: readonly ScenarioResult[]): Promise<string> {
  const folder = join(repositoryRoot, 'results');
  const path = join(folder, 'bench.json');
  const machine = {
    cpus: cpus().length,
    cpu: cpus()[0]?.model ?? '',
    kernel: release(),
    node: process.version,
  };
  const report = results.map(({ scenario: { name, description }, rounds }) => ({
    name,
    description,
    summary: summarize(rounds),
    rounds,
  }));
  await mkdir(folder, { recursive: true });
  await writeFile(
    path,
    `${JSON.stringify({ at: new Date().toISOString(), machine, scenarios: report }, null, 2)}\n`,
  );
  return path;
}

process.exitCode = await main();
