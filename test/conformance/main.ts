import { parseOptions, USAGE, type Options } from './options.js';
import { toJson, toLine, toSummary } from './report.js';
import type { Rule } from './rule.js';
import { chooseSeeds, type Seeds } from './random.js';
import { tryRule, type RuleResult } from './runner.js';
import { startOwnSource } from './source/own-source.js';
import { sourceRules } from './source/rules.js';
import { SourceContext } from './source/source-context.js';
import { foreignSource } from './source/source-target.js';
import { umemdRules } from './umemd/rules.js';
import { UmemdContext } from './umemd/umemd-context.js';
import { foreignUmemd, startOwnUmemd } from './umemd/umemd-target.js';

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
  const seeds = chooseSeeds(options.seed);
  if (own || options.source !== null) await testSource(options, seeds, tell);
  if (own || options.umemd !== null) await testUmemd(options, seeds, tell);
  if (options.list) return 0;
  process.stdout.write(options.json ? `${toJson(results)}\n` : `\n${toSummary(results)}\n`);
  return results.some(({ result }) => result === 'FAIL') ? 1 : 0;
}

/** Rejects when somebody has had enough: what was started is ended, and the guest goes back to its source. */
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => reject(new Error(`It was ended by ${signal}`)));
});
interrupted.catch(() => undefined);

/** Rules that were asked for. */
function choose<Context>(rules: readonly Rule<Context>[], { only }: Options): Rule<Context>[] {
  return rules.filter(({ id }) => only.length === 0 || only.some((text) => id.includes(text)));
}

async function testSource(options: Options, seeds: Seeds, tell: (result: RuleResult) => void): Promise<void> {
  const { source, destructive } = options;
  const rules = choose(sourceRules, options).filter(
    (rule) => source === null || destructive || rule.destructive !== true,
  );
  if (options.list) return list(rules);
  if (rules.length === 0) return;
  const target =
    source === null ? await startOwnSource() : await foreignSource({ ...options, address: source });
  try {
    const context = await SourceContext.open(target, seeds);
    try {
      for (const rule of rules) tell(await Promise.race([tryRule(rule, context), interrupted]));
    } finally {
      await context.close();
    }
  } finally {
    await target.close();
  }
}

async function testUmemd(options: Options, seeds: Seeds, tell: (result: RuleResult) => void): Promise<void> {
  const { umemd } = options;
  const rules = choose(umemdRules, options);
  if (options.list) return list(rules);
  if (rules.length === 0) return;
  const target = umemd === null ? await startOwnUmemd() : await foreignUmemd(umemd);
  try {
    const context = await UmemdContext.open(target, seeds);
    try {
      for (const rule of rules) tell(await Promise.race([tryRule(rule, context), interrupted]));
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

// What is still under way when its rule has failed, and then fails too, belongs to no rule.
process.on('unhandledRejection', (reason) => {
  process.stderr.write(
    `After its rule had ended: ${reason instanceof Error ? reason.message : String(reason)}\n`,
  );
});

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // No rule: what is to be tested is not there or could not be started, or it was enough.
  process.stderr.write(`Nothing more is tested: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
