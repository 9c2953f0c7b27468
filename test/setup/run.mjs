import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { LOG, ROOT } from './paths.mjs';
import { SetupError } from './report.mjs';

const TAIL_LINES = 25;

/**
 * Runs a command with its output in the log file. When it fails: a `SetupError` with the end of
 * that output, or, with `mayFail`, just `false`.
 */
export async function run(command, args, { cwd = ROOT, env = {}, mayFail = false } = {}) {
  mkdirSync(dirname(LOG), { recursive: true });
  const log = openSync(LOG, 'a');
  const startsAt = readFileSync(LOG).length;
  try {
    writeSync(log, `\n$ ${command} ${args.join(' ')}\n`);
    const outcome = await finished(
      spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', log, log] }),
    );
    if (outcome === null) return true;
    if (mayFail) return false;
    throw new SetupError(
      `${command} ${args[0] ?? ''} failed (${outcome}). The end of ${LOG}:\n\n${tail(startsAt)}`,
    );
  } finally {
    closeSync(log);
  }
}

/** What a command prints, or null when it fails. */
export async function capture(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  return (await finished(child)) === null ? output : null;
}

/** Null on success, else how it ended. */
function finished(child) {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code === 0 ? null : (signal ?? `exit code ${code}`)));
  });
}

function tail(startsAt) {
  const text = readFileSync(LOG).subarray(startsAt).toString('utf8');
  return text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}
