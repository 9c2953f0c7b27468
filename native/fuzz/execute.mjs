import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const FINDINGS = join(root, 'native/build/fuzz/findings');
const REPORT_LINES = 40;
const SLACK_SECONDS = 60;

/**
 * Runs a target for its time, from its corpus. `problem` says what it has found, which input did it and how
 * to see it again; null when it found nothing.
 */
export function fuzz(name, program, { engine, seconds, seed }) {
  const corpus = join(import.meta.dirname, 'corpus', name);
  const seeds = existsSync(corpus) ? [corpus] : [];
  const keep = join(FINDINGS, `${name}-${engine}`);
  mkdirSync(dirname(keep), { recursive: true });
  rmSync(keep, { force: true });
  const grown = mkdtempSync(join(tmpdir(), 'umem-fuzz-'));
  const args =
    engine === 'driver'
      ? ['--seconds', `${seconds}`, '--seed', `${seed}`, '--keep', keep, ...seeds]
      : [
          ...[`-max_total_time=${Math.ceil(seconds)}`, `-seed=${seed}`, '-timeout=5', '-max_len=65536'],
          ...['-print_final_stats=1', `-exact_artifact_path=${keep}`, grown, ...seeds],
        ];
  try {
    const result = execute(program, args, seconds);
    if (result.said === null) return { executions: result.executions, problem: null };
    const kept = existsSync(keep) ? relative(root, keep) : null;
    const again = `npm run fuzz -- --engine ${engine} --target ${name}`;
    const where = kept
      ? [`input   ${kept}`, `seed    ${seed}`, `replay  ${again} --replay ${kept}`]
      : [`seed    ${seed}`, `again   ${again} --seed ${seed} --seconds ${seconds}`];
    return { executions: result.executions, problem: [result.said, ...where].join('\n') };
  } finally {
    rmSync(grown, { recursive: true, force: true });
  }
}

/** Runs one input. */
export function replay(program, input) {
  const { executions, said } = execute(program, [input], 0);
  return { executions, problem: said };
}

function execute(program, args, seconds) {
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    env: {
      ...process.env,
      ASAN_OPTIONS: 'detect_leaks=1:handle_abort=1',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
    maxBuffer: 1 << 28,
    timeout: (seconds + SLACK_SECONDS) * 1000,
  });
  const text = `${stdout}\n${stderr}`;
  const count = /executions (\d+)/.exec(text) ?? /number_of_executed_units:\s*(\d+)/.exec(text);
  const executions = count ? Number(count[1]) : 0;
  if (status === 0) return { executions, said: null };
  const lines = `${stderr ?? ''}`.trim().split('\n');
  const first = lines.findIndex((line) => /ERROR: |runtime error|property does not hold/.test(line));
  const said = lines.slice(Math.max(0, first), Math.max(0, first) + REPORT_LINES).join('\n');
  return { executions, said: `${said}\nended with ${error?.message ?? signal ?? `exit code ${status}`}` };
}
