import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryRoot } from '../kit/repository.js';
import { checkStep } from './check-step.js';
import type { Step } from './step.js';
import { vitestStep } from './vitest-step.js';

const NX = join(repositoryRoot, 'node_modules/nx/bin/nx.js');
const ESLINT = join(repositoryRoot, 'node_modules/eslint/bin/eslint.js');
const PRETTIER = join(repositoryRoot, 'node_modules/prettier/bin/prettier.cjs');

/** Everything that `npm test` runs, the quick and the near first. */
export async function createSteps(): Promise<Step[]> {
  return [
    nodeStep('types', NX, 'run-many', '-t', 'build', '--outputStyle=static'),
    nodeStep('lint', ESLINT, '--max-warnings=0', '.'),
    nodeStep('format', PRETTIER, '--check', '.'),
    nodeStep('proto lint', NX, 'run', '@umem/api:lint:proto', '--outputStyle=static'),
    checkStep('c format', 'clang-format', ['--dry-run', '-Werror', ...(await listCSources())]),
    ...(await createUnitSteps()),
    vitestStep('test/kit', 'test', ['kit/', 'run/', 'setup/', 'demo/', 'bench/']),
    vitestStep('test/contract', 'test', ['contract/']),
    vitestStep('test/integration', 'test', ['integration/']),
    vitestStep('test/e2e', 'test', ['e2e/']),
  ];
}

function nodeStep(name: string, program: string, ...args: readonly string[]): Step {
  return checkStep(name, process.execPath, [program, ...args]);
}

async function createUnitSteps(): Promise<Step[]> {
  const packages = await readdir(join(repositoryRoot, 'packages'));
  const folders = ['native', ...packages.sort().map((name) => `packages/${name}`), 'deploy'];
  const tested = await Promise.all(
    folders.map(async (folder) => (await list(folder, (file) => file.endsWith('.test.ts'))).length > 0),
  );
  return folders.filter((_, index) => tested[index]).map((folder) => vitestStep(folder, folder));
}

async function listCSources(): Promise<string[]> {
  const isSource = (file: string): boolean => /\.(c|cc|h)$/.test(file);
  return [...(await list('native', isSource)), ...(await list('test/guest', isSource))];
}

/** Files below a folder, without what was built or installed there. */
async function list(folder: string, accepts: (file: string) => boolean): Promise<string[]> {
  const files = await readdir(join(repositoryRoot, folder), { recursive: true });
  return files
    .filter((file) => accepts(file) && !/(^|\/)(node_modules|dist|build)\//.test(file))
    .map((file) => join(folder, file))
    .sort();
}
