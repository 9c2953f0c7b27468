import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryRoot } from '../kit/repository.js';
import { checkStep } from './check-step.js';
import { conformanceStep } from './conformance-step.js';
import { fuzzStep } from './fuzz-step.js';
import type { Step } from './step.js';
import { vitestStep } from './vitest-step.js';

/** Everything that `npm test` runs, the quick and the near first. */
export async function createSteps(): Promise<Step[]> {
  return [
    toolStep('types', 'nx', 'run-many', '-t', 'build', '--outputStyle=static'),
    toolStep('lint', 'eslint', '--max-warnings=0', '.'),
    toolStep('format', 'prettier', '--check', '.'),
    toolStep('proto lint', 'nx', 'run', '@umem/api:lint:proto', '--outputStyle=static'),
    checkStep('c format', 'clang-format', ['--dry-run', '-Werror', ...(await listCSources())]),
    checkStep('native sanitizers', process.execPath, ['native/scripts/sanitize.mjs']),
    fuzzStep('native fuzz'),
    ...(await createUnitSteps()),
    vitestStep('test/kit', 'test', ['kit/', 'run/', 'setup/', 'demo/', 'bench/']),
    vitestStep('test/contract', 'test', ['contract/']),
    conformanceStep('test/conformance'),
    vitestStep('test/integration', 'test', ['integration/']),
    vitestStep('test/e2e', 'test', ['e2e/']),
  ];
}

/** A check by a tool from node_modules. */
function toolStep(name: string, tool: string, ...args: readonly string[]): Step {
  return checkStep(name, join(repositoryRoot, 'node_modules/.bin', tool), args);
}

async function createUnitSteps(): Promise<Step[]> {
  const packages = await readdir(join(repositoryRoot, 'packages'));
  const folders = ['native', ...packages.sort().map((name) => `packages/${name}`)];
  const tested = await Promise.all(
    folders.map(async (folder) => (await list(folder, (file) => file.endsWith('.test.ts'))).length > 0),
  );
  return folders.filter((_, index) => tested[index]).map((folder) => vitestStep(folder, folder));
}

async function listCSources(): Promise<string[]> {
  const isSource = (file: string): boolean => /\.(c|cc|h)$/.test(file);
  const folders = ['native', 'packages', 'test'];
  return (await Promise.all(folders.map((folder) => list(folder, isSource)))).flat();
}

/** Files below a folder, without what was built or installed there. */
async function list(folder: string, accepts: (file: string) => boolean): Promise<string[]> {
  const files = await readdir(join(repositoryRoot, folder), { recursive: true });
  return files
    .filter((file) => accepts(file) && !/(^|\/)(node_modules|dist|build)\//.test(file))
    .map((file) => join(folder, file))
    .sort();
}
