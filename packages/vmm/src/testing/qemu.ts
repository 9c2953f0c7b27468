import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Scratch } from './scratch.js';

export interface TestQemu {
  readonly pid: number;
  readonly qmpPath: string;
  readonly exited: Promise<unknown>;
  kill(): Promise<void>;
}

export const MiB = 2 ** 20;

/** Starts a QEMU without a kernel: its firmware finds nothing to boot and waits, running. */
export function startQemu(
  scratch: Scratch,
  qmpPath: string,
  args: readonly string[],
  cwd?: string,
): TestQemu {
  const child = spawn(
    'qemu-system-x86_64',
    ['-nodefaults', '-nographic', '-qmp', `unix:${qmpPath},server=on,wait=off`, ...args],
    { stdio: 'ignore', cwd },
  );
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  scratch.defer(kill);
  if (child.pid === undefined) throw new Error('qemu-system-x86_64 did not start: install qemu-system-x86');
  return { pid: child.pid, qmpPath, exited, kill };
}

/** Arguments of a machine whose RAM is one shared file. */
export function fileMachine(path: string, sizeMiB = 64): string[] {
  return [
    ...['-M', 'q35,memory-backend=ram0', '-m', `${sizeMiB}M`],
    ...['-object', `memory-backend-file,id=ram0,size=${sizeMiB}M,mem-path=${path},share=on`],
  ];
}
