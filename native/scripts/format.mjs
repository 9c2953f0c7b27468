// Formats the C and C++ sources with clang-format; with --check it only complains.
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from './run.mjs';

const root = resolve(import.meta.dirname, '..');
const files = ['src', 'preload', 'fuzz', 'test'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => /\.(cc|h|c)$/.test(name))
    .map((name) => join(folder, name)),
);
const mode = process.argv.includes('--check') ? ['--dry-run', '--Werror'] : ['-i'];
run('clang-format', [...mode, ...files], root);
