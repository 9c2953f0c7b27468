import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inPublicCopy } from './public-copy.js';

/** The built package, for programs and workers that run outside of vitest. */
export const builtPackage = new URL('../../dist/index.js', import.meta.url).href;

export interface ProgramExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A user without any capability. */
export const nobody = { uid: 65534, gid: 65534 };

/** Runs a program to its end. */
export async function runProgram(
  program: string,
  args: string[],
  identity: { uid?: number; gid?: number } = {},
): Promise<ProgramExit> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...identity });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const closed = once(child, 'close');
  await closed;
  return { code: child.exitCode, signal: child.signalCode, stdout, stderr };
}

/** Runs a module in a node of its own; `native` and everything else of the package is in scope. */
export function runNode(code: string, identity: { uid?: number; gid?: number } = {}): Promise<ProgramExit> {
  const module =
    identity.uid === undefined ? builtPackage : pathToFileURL(inPublicCopy(fileURLToPath(builtPackage)));
  const source = `import * as umem from ${JSON.stringify(module)};\nconst { native } = umem;\n${code}`;
  return runProgram(process.execPath, ['--input-type=module', '-e', source], identity);
}

/** test/programs/peer.c */
export function runPeer(socket: string, ...steps: string[]): Promise<ProgramExit> {
  return runProgram(fileURLToPath(new URL('../../build/test/peer', import.meta.url)), [socket, ...steps]);
}

/** Descriptors of this process whose link contains `text`. */
export function openFdsOf(text: string): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).includes(text);
      } catch {
        return false; // the descriptor of the listing itself is closed by now
      }
    });
}

/** A directory for one test file; `remove` takes it away again. */
export function makeDirectory(parent = tmpdir()): { path: string; remove: () => void } {
  const path = mkdtempSync(join(parent, 'umem-native-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Lets the event loop turn until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
