import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { languageOf } from './toolchain.mjs';

const root = resolve(import.meta.dirname, '..');

/** The driver's own sources. They are not instrumented: they are no part of what is tested. */
const DRIVER = ['fuzz/driver.c', 'fuzz/mutation.c'];

/** Builds a target; what is newer than its sources is left alone. Answers the program's path. */
export function buildTarget({ name, sources, includes, defines }, toolchain) {
  const folder = join(root, 'build/fuzz', toolchain.engine);
  const program = join(folder, name);
  mkdirSync(join(folder, 'objects'), { recursive: true });
  const paths = includes.map((path) => `-I${join(root, path)}`);
  const tested = ['-O1', ...toolchain.sanitizers, ...toolchain.coverage, ...defines, ...paths];
  const driver = toolchain.engine === 'driver' ? DRIVER : [];
  const objects = [
    ...sources.map((source) => compile(source, name, tested)),
    ...driver.map((source) => compile(source, 'driver', ['-O2'])),
  ];
  if (isStale(program, objects)) run(toolchain.linker, [...toolchain.link, '-o', program, ...objects]);
  return program;

  function compile(source, owner, flags) {
    const object = join(folder, 'objects', `${owner}-${source.replaceAll(/[^a-z0-9_]+/g, '-')}.o`);
    if (!isStale(object, dependenciesOf(object))) return object;
    const from = ['-MMD', '-c', '-o', object, join(root, source)];
    run(toolchain.compilerOf(source), [...languageOf(source), ...toolchain.common, ...flags, ...from]);
    return object;
  }
}

/** The files that an object was made from, as the compiler has listed them, and what chose its flags. */
function dependenciesOf(object) {
  const list = object.replace(/\.o$/, '.d');
  if (!existsSync(list)) return [];
  const files = readFileSync(list, 'utf8').replace(/^[^:]*:/, '');
  const scripts = ['targets.mjs', 'toolchain.mjs', 'build.mjs'].map((file) =>
    join(import.meta.dirname, file),
  );
  return [...files.split(/[\s\\]+/).filter((file) => file !== ''), ...scripts];
}

function isStale(output, inputs) {
  if (!existsSync(output) || inputs.length === 0) return true;
  const made = statSync(output).mtimeMs;
  return inputs.some((input) => !existsSync(input) || statSync(input).mtimeMs > made);
}

function run(program, args) {
  const { status, error, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (error)
    throw new Error(`Cannot run ${program}: ${error.message}. Install what is missing: npm run setup`);
  if (status !== 0) throw new Error(`${program} failed (${status}):\n${stderr}`);
}
