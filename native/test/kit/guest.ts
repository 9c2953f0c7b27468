import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inPublicCopy } from './public-copy.js';
import { native, type NativeUserfaultfd } from '../../ts/index.js';

const program = fileURLToPath(new URL('../../build/test/guest', import.meta.url));
const restrict = fileURLToPath(new URL('../../build/test/restrict', import.meta.url));

interface Waiter {
  word: string;
  resolve: (words: string[]) => void;
  reject: (error: Error) => void;
}

export interface GuestExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
}

/** A process that maps RAM and touches it on command: test/programs/guest.c. */
export class Guest {
  readonly exited: Promise<GuestExit>;
  readonly pid: number;
  private readonly process: ChildProcess;
  private readonly lines: string[][] = [];
  private readonly waiters: Waiter[] = [];
  private stderr = '';

  /** `identity`: another user and group to run as. `lacks`: what test/programs/restrict.c takes from it. */
  constructor(
    env: Record<string, string> = {},
    identity: { uid?: number; gid?: number } = {},
    lacks: readonly string[] = [],
  ) {
    const locate = (path: string): string => (identity.uid === undefined ? path : inPublicCopy(path));
    const preload = env['LD_PRELOAD'] === undefined ? {} : { LD_PRELOAD: locate(env['LD_PRELOAD']) };
    const [command = '', ...args] =
      lacks.length === 0 ? [locate(program)] : [locate(restrict), ...lacks, '--', locate(program)];
    this.process = spawn(command, args, {
      env: { ...process.env, ...env, ...preload },
      stdio: 'pipe',
      ...identity,
    });
    if (this.process.pid === undefined || !this.process.stdout || !this.process.stderr) {
      throw new Error(`Cannot start ${program}: build it with "npm run build -w native"`);
    }
    this.pid = this.process.pid;
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    createInterface({ input: this.process.stdout }).on('line', (line) => this.take(line));
    this.exited = new Promise((resolve) => {
      this.process.once('close', (code, signal) => {
        for (const waiter of this.waiters) waiter.reject(new Error(`The guest has ended: ${this.stderr}`));
        resolve({ code, signal, stderr: this.stderr });
      });
    });
  }

  send(command: string): void {
    this.process.stdin?.write(`${command}\n`);
  }

  /** The words behind `word` in the next line that begins with it and was not taken yet. */
  answer(word: string): Promise<string[]> {
    const index = this.lines.findIndex((line) => line[0] === word);
    const [found] = index < 0 ? [] : this.lines.splice(index, 1);
    if (found !== undefined) return Promise.resolve(found.slice(1));
    return new Promise((resolve, reject) => this.waiters.push({ word, resolve, reject }));
  }

  /** True when a line that begins with `word` has come and was not taken. */
  hasAnswered(word: string): boolean {
    return this.lines.some((line) => line[0] === word);
  }

  async ask(command: string, word: string): Promise<string[]> {
    this.send(command);
    return this.answer(word);
  }

  async stop(): Promise<GuestExit> {
    this.process.kill('SIGKILL');
    return this.exited;
  }

  private take(line: string): void {
    const words = line.split(' ');
    const index = this.waiters.findIndex((waiter) => waiter.word === words[0]);
    const [waiter] = index < 0 ? [] : this.waiters.splice(index, 1);
    if (waiter) waiter.resolve(words.slice(1));
    else if (words[0] === 'error') for (const each of this.waiters) each.reject(new Error(line));
    else this.lines.push(words);
  }
}

/** A guest whose RAM, a memfd, waits in a userfaultfd of which this process has a copy. */
export interface RegisteredGuest {
  guest: Guest;
  uffd: NativeUserfaultfd;
  base: bigint;
  sizeBytes: number;
}

export async function startRegisteredGuest(pages: number, features: bigint): Promise<RegisteredGuest> {
  const guest = new Guest();
  const sizeBytes = pages * 4096;
  await guest.ask(`memfd guest-ram ${sizeBytes}`, 'file');
  const [, address] = await guest.ask(`map shared ${sizeBytes} 0`, 'mapped');
  const [fd] = await guest.ask(`uffd 0 ${features}`, 'uffd');
  return {
    guest,
    uffd: native.adoptUserfaultfd(takeFd(guest.pid, Number(fd))),
    base: BigInt(address ?? 0),
    sizeBytes,
  };
}

/** A copy of a descriptor of another process. */
export function takeFd(pid: number, fd: number): number {
  const pidfd = native.pidfdOpen(pid);
  try {
    return native.pidfdGetfd(pidfd, fd);
  } finally {
    native.closeFd(pidfd);
  }
}
