import { Lab } from '../kit/lab.js';
import { readDemoOptions, USAGE, UsageError, type DemoOptions } from './options.js';
import { requirementsOf, toJsonLine } from './outcome.js';
import { Screen } from './screen.js';
import { tellStory } from './story.js';
import { showSummary } from './summary.js';

/** Runs the demo; answers the exit code. */
async function main(): Promise<number> {
  let options: DemoOptions | null;
  try {
    options = readDemoOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}\n`);
    return 2;
  }
  if (options === null) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  return runDemo(options);
}

async function runDemo(options: DemoOptions): Promise<number> {
  const screen = new Screen(options.json ? process.stderr : process.stdout);
  const lab = await Lab.open();
  closeOnInterrupt(lab);
  try {
    const outcome = await tellStory(lab, screen, options);
    showSummary(screen, outcome);
    if (options.json) process.stdout.write(`${toJsonLine(outcome)}\n`);
    return requirementsOf(outcome).every(({ met }) => met) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`\n${lab.logs()}\n\nThe demo failed: ${describe(error)}\n`);
    return 1;
  } finally {
    await lab.close();
  }
}

/** Ctrl-C leaves no guest and no service behind. */
function closeOnInterrupt(lab: Lab): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void lab.close().finally(() => process.exit(130));
    });
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

process.exitCode = await main();
