// Builds the core (what has no napi.h) and its test program with the address and undefined-behaviour
// sanitizers, and runs it. Apart from node, which is not built with them.
import { mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from './run.mjs';

const root = resolve(import.meta.dirname, '..');
const output = join(root, 'build/sanitize');
mkdirSync(output, { recursive: true });

const warnings = ['-Wall', '-Wextra', '-Werror'];
const sanitizers = [
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
  '-fno-omit-frame-pointer',
  '-g',
];
const config = join(output, 'preload_config.o');
run(
  process.env.CC ?? 'cc',
  ['-std=gnu11', '-O1', ...warnings, ...sanitizers, '-c', '-o', config, join(root, 'preload/config.c')],
  root,
);

const core = ['src/os', 'src/uffd', 'src/ram', 'test/core'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.cc'))
    .map((name) => join(root, folder, name)),
);
const includes = ['-D_GNU_SOURCE', '-Isrc', '-Itest/core'];
const language = ['-std=c++17', '-fno-exceptions', '-O1', '-pthread'];
const program = join(output, 'core_test');
run(
  process.env.CXX ?? 'c++',
  [...language, ...warnings, ...sanitizers, ...includes, '-o', program, ...core, config],
  root,
);
run(program, [], root);
