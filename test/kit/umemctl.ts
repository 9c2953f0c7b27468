import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { runCli } from '@umem/cli';
import type { Child } from './child.js';
import type { Lab } from './lab.js';
import { programPath } from './repository.js';

export interface UmemctlResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line of umemctl to its end, in this process: tests ask often. */
export async function umemctl(args: readonly string[]): Promise<UmemctlResult> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const output = Promise.all([text(stdout), text(stderr)]);
  const exitCode = await runCli(args, { stdout, stderr, stdin: Readable.from([]), env: process.env });
  stdout.end();
  stderr.end();
  const [out, err] = await output;
  return { exitCode, stdout: out, stderr: err };
}

/** Runs `umemctl … --json`, which must succeed; answers the object it prints. */
export async function umemctlJson(args: readonly string[]): Promise<unknown> {
  const { exitCode, stdout, stderr } = await umemctl([...args, '--json']);
  if (exitCode !== 0) throw new Error(`umemctl ${args.join(' ')} ended with ${exitCode}:\n${stderr}`);
  return lastJson(stdout);
}

/** Starts `umemctl` as a process of its own, as a person does. */
export function startUmemctl(
  lab: Lab,
  args: readonly string[],
  options: {
    /** Progress goes to this process's stderr and is not kept. */ readonly showStderr?: boolean;
  } = {},
): Promise<Child> {
  return lab.start({
    name: `umemctl ${args.slice(0, 2).join(' ')}`,
    command: process.execPath,
    args: [programPath('cli'), ...args],
    ...options,
  });
}

/** The JSON value on the last line, or spread over several lines up to the end. */
export function lastJson(stdout: string): unknown {
  const output = stdout.trimEnd();
  const start = output.startsWith('{') ? 0 : output.lastIndexOf('\n{') + 1;
  return JSON.parse(output.slice(start));
}
