#!/usr/bin/env node
// Builds the process guest with the machine's C compiler: build.mjs [OUTPUT] [-fsanitize=...]
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const arguments_ = process.argv.slice(2);
const extra = arguments_.filter((argument) => argument.startsWith('-'));
const output =
  arguments_.find((argument) => !argument.startsWith('-')) ?? join(here, '../dist/umem-process-guest');
const sources = readdirSync(here)
  .filter((name) => name.endsWith('.c'))
  .map((name) => join(here, name));

mkdirSync(dirname(output), { recursive: true });
const flags = ['-std=gnu11', '-O2', '-g', '-Wall', '-Wextra', '-Werror', '-pthread', ...extra];
const { status, error } = spawnSync(process.env.CC ?? 'cc', [...flags, '-o', output, ...sources], {
  stdio: 'inherit',
});
if (error) console.error(`The C compiler did not start: ${error.message}; install gcc`);
process.exit(status ?? 1);
