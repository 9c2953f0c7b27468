import { spawn } from 'node:child_process';
import { repositoryRoot } from '../kit/repository.js';

export interface CommandResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  /** stdout and stderr, in the order in which they came. */
  readonly output: string;
}

/** Runs a command at the repository's root. */
export function runCommand(command: string, args: readonly string[]): Promise<CommandResult> {
  const child = spawn(command, args, {
    cwd: repositoryRoot,
    env: { ...process.env, CI: 'true', FORCE_COLOR: '0', NX_TUI: 'false', NX_DAEMON: 'false' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let output = '';
  child.stdout.on('data', (text: string) => (stdout += text));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ exitCode: null, stdout, output: error.message }));
    child.once('close', (exitCode) => resolve({ exitCode, stdout, output }));
  });
}
