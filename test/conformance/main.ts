import { parseOptions, USAGE, type Options } from './options.js';
import { toJson, toLine, toSummary } from './report.js';
import type { Rule } from './rule.js';
import { tryRule, type RuleResult } from './runner.js';
import { startOwnSource } from './source/own-source.js';
import { sourceRules } from './source/rules.js';
import { SourceContext } from './source/source-context.js';
import { foreignSource } from './source/source-target.js';
import { umemdRules } from './umemd/rules.js';
import { UmemdContext } from './umemd/umemd-context.js';
import { startOwnUmemd, type UmemdTarget } from './umemd/umemd-target.js';

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const own = options.source === null && options.umemd === null;
  const results: RuleResult[] = [];
  const tell = (result: RuleResult): void => {
    results.push(result);
    if (!options.json) process.stdout.write(toLine(result));
  };
  if (own || options.source !== null) await testSource(options, tell);
  if (own || options.umemd !== null) await testUmemd(options, tell);
  if (options.list) return 0;
  process.stdout.write(options.json ? `${toJson(results)}\n` : `\n${toSummary(results)}\n`);
  return results.some(({ result }) => result === 'FAIL') ? 1 : 0;
}

/** Rules that were asked for. */
function choose<Context>(rules: readonly Rule<Context>[], { only }: Options): Rule<Context>[] {
  return rules.filter(({ id }) => only.length === 0 || only.some((text) => id.includes(text)));
}

async function testSource(options: Options, tell: (result: RuleResult) => void): Promise<void> {
  const { source, destructive } = options;
  const rules = choose(sourceRules, options).filter(
    (rule) => source === null || destructive || rule.destructive !== true,
  );
  if (options.list) return list(rules);
  if (rules.length === 0) return;
  const target =
    source === null ? await startOwnSource() : await foreignSource({ ...options, address: source });
  try {
    const context = await SourceContext.open(target);
    try {
      for (const rule of rules) tell(await tryRule(rule, context));
    } finally {
      await context.close();
    }
  } finally {
    await target.close();
  }
}

async function testUmemd(options: Options, tell: (result: RuleResult) => void): Promise<void> {
  const { umemd } = options;
  const rules = choose(umemdRules, options);
  if (options.list) return list(rules);
  if (rules.length === 0) return;
  const target: UmemdTarget =
    umemd === null ? await startOwnUmemd() : { address: umemd, logs: () => '', close: async () => {} };
  try {
    const context = await UmemdContext.open(target);
    try {
      for (const rule of rules) tell(await tryRule(rule, context));
    } finally {
      await context.close();
    }
  } finally {
    await target.close();
  }
}

function list(rules: readonly Rule<never>[]): void {
  for (const { id, title } of rules) process.stdout.write(`${id.padEnd(46)}  ${title}\n`);
}

process.exitCode = await main(process.argv.slice(2));
