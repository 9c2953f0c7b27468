#!/usr/bin/env node
// Builds fuzz targets with the sanitizers and runs each of them for a bounded time. See README.md.
import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildTarget } from './build.mjs';
import { fuzz, replay } from './execute.mjs';
import { PLANTED, TARGETS } from './targets.mjs';
import { createToolchain, findClang } from './toolchain.mjs';

const USAGE = `Usage: npm run fuzz -- [--seconds N] [--target NAME] [--seed N] [--engine libfuzzer|driver] [--replay FILE] [--json]
  --seconds  how long each target runs (default 60)
  --target   one target instead of all: ${TARGETS.map(({ name }) => name).join(', ')}
  --seed     of the new inputs (default: another one each time)
  --engine   default: libfuzzer where a clang has it, else driver
  --replay   run this input of --target once`;

try {
  process.exitCode = main(readArguments());
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}

function readArguments() {
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: {
      seconds: text,
      target: text,
      seed: text,
      engine: text,
      replay: text,
      json: { type: 'boolean' },
    },
  });
  const seconds = Number(values.seconds ?? 60);
  // libFuzzer takes 32 bits.
  const seed = Number(values.seed ?? randomInt(1, 2 ** 31));
  const targets = [...TARGETS, ...PLANTED].filter(({ name }) => name === values.target);
  if (values.target === undefined) targets.push(...TARGETS);
  const isGood =
    seconds > 0 &&
    Number.isInteger(seed) &&
    seed > 0 &&
    seed < 2 ** 32 &&
    targets.length > 0 &&
    ['driver', 'libfuzzer', undefined].includes(values.engine) &&
    (values.replay === undefined || values.target !== undefined);
  if (!isGood) throw new Error(USAGE);
  return { ...values, seconds, seed, targets };
}

function main({ seconds, seed, targets, engine: wanted, replay: input, json }) {
  const clang = wanted === 'driver' ? null : findClang();
  const engine = wanted ?? (clang === null ? 'driver' : 'libfuzzer');
  if (engine === 'libfuzzer' && clang === null) {
    throw new Error(
      'No clang with libFuzzer here (Debian 12: clang-14 libclang-rt-14-dev). CLANG names another.',
    );
  }
  const toolchain = createToolchain(engine, clang);
  const say = (line) => json || console.log(line);
  say(`Engine ${engine}${clang ? ` (${clang})` : ''}, seed ${seed}, ${seconds} s each`);
  const results = targets.map((target) => {
    const program = buildTarget(target, toolchain);
    const { executions, problem } = input
      ? replay(program, resolve(input))
      : fuzz(target.name, program, { engine, seconds, seed });
    say(`${problem === null ? 'ok    ' : 'FAILED'}  ${target.name.padEnd(15)}  ${executions} executions`);
    if (problem !== null) say(problem);
    return { target: target.name, executions, problem };
  });
  const failed = results.filter(({ problem }) => problem !== null).length;
  say(`${results.length - failed} targets without a finding, ${failed} with one`);
  if (json) console.log(JSON.stringify({ engine, seed, results }));
  return failed === 0 ? 0 : 1;
}
