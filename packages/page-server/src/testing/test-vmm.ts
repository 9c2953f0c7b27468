import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import {
  readdirSync,
  mkdtempSync,
  openSync,
  readSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  closeSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { VMM_VARIABLE } from './build-vmm.js';

/** RAM that a test VMM has mapped. */
interface Mapped {
  readonly id: string;
  readonly address: number;
  readonly bytes: number;
  readonly path: string;
}

/** A process with RAM files under userfaultfds, told what to do line by line; see vmm.c. */
export class TestVmm {
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #hostPageSize: number;
  readonly #mapped = new Map<string, Mapped>();
  readonly #lines: string[] = [];
  #arrived: (() => void)[] = [];

  /** `directory`: of the file system for RAM files, whose pages have `hostPageSize` bytes. */
  constructor(directory = '/dev/shm', hostPageSize = 4096) {
    this.#directory = mkdtempSync(`${directory}/umem-test-`);
    this.#hostPageSize = hostPageSize;
    this.#process = spawn(process.env[VMM_VARIABLE] ?? '', { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#stream('stdout') }).on('line', (line) => {
      this.#lines.push(line);
      for (const wake of this.#arrived.splice(0)) wake();
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Makes and maps a RAM file; `joined`: registered with that mapping's userfaultfd. */
  async map(id: string, bytes: number, joined?: string): Promise<void> {
    const path = join(this.#directory, id);
    writeFileSync(path, '');
    truncateSync(path, bytes);
    this.#say(joined === undefined ? `map ${id} ${path} ${bytes}` : `join ${id} ${path} ${bytes} ${joined}`);
    await this.#take(id, path, bytes);
  }

  /** Maps the RAM file of another test VMM. */
  async mapFileOf(other: TestVmm, id: string): Promise<void> {
    const { path, bytes } = other.#get(id);
    this.#say(`map ${id} ${path} ${bytes}`);
    await this.#take(id, path, bytes);
  }

  /** Maps anonymous memory, as Firecracker does. */
  async mapAnonymous(id: string, bytes: number, joined = ''): Promise<void> {
    this.#say(`anon ${id} ${bytes} ${joined}`);
    await this.#take(id, '', bytes);
  }

  async #take(id: string, path: string, bytes: number): Promise<void> {
    const line = await this.#answer(`mapped ${id} `);
    this.#mapped.set(id, { id, path, bytes, address: Number(line.split(' ')[2]) });
  }

  /** Userfaultfds made from now on are as Firecracker makes them. */
  async makePlain(): Promise<void> {
    this.#say('plain');
    await this.#answer('plain');
  }

  /** What anonymous memory holds, read from outside; missing pages must not be registered any more. */
  memory(id: string): Buffer {
    const { address, bytes } = this.#get(id);
    const fd = openSync(`/proc/${this.pid}/mem`, 'r');
    try {
      const found = Buffer.alloc(bytes);
      for (let at = 0; at < bytes;) at += readSync(fd, found, at, bytes - at, address + at);
      return found;
    } finally {
      closeSync(fd);
    }
  }

  /** Userfaultfds made from now on tell of fork, unmap and remap. */
  async tellAllEvents(): Promise<void> {
    this.#say('events');
    await this.#answer('events');
  }

  async unmap(id: string, pgoff: number, count: number): Promise<void> {
    this.#say(`unmap ${id} ${pgoff} ${count}`);
    await this.#answer(`unmapped ${id} ${pgoff} `);
  }

  /** Maps its own program, a plain file, in the place of pages, which no event tells of. */
  async mapProgramOver(id: string, pgoff: number, count: number): Promise<void> {
    this.#say(`plug ${id} ${pgoff} ${count}`);
    await this.#answer(`plugged ${id} ${pgoff} `);
  }

  /** Throws pages out without an event. */
  async punch(id: string, pgoff: number, count: number): Promise<void> {
    this.#say(`punch ${id} ${pgoff} ${count}`);
    await this.#answer(`punched ${id} ${pgoff} `);
  }

  /** Moves the whole mapping to another address. */
  async move(id: string): Promise<void> {
    this.#say(`move ${id}`);
    await this.#answer(`moved ${id} `);
  }

  /** Forks; resolves with the first byte of a page as the child reads it. */
  async readInChild(id: string, pgoff: number): Promise<number> {
    this.#say(`child ${id} ${pgoff}`);
    return Number((await this.#answer(`child ${id} ${pgoff} `)).split(' ')[3]);
  }

  /** Stops the process, or lets it go on. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(name);
  }

  /** Like `send`, in many small pieces. */
  async drip(socket: string, message: unknown, fds: readonly string[]): Promise<string> {
    this.#say(`drip ${socket} ${fds.join(',')} ${JSON.stringify(message)}`);
    return (await this.#answer('sent ')).slice('sent '.length);
  }

  /** The region of a mapping as our preload library sends it. */
  region(id: string): Record<string, number | string> {
    const { address, bytes } = this.#get(id);
    return {
      base_host_virt_addr: address,
      size: bytes,
      offset: 0,
      page_size: this.#hostPageSize,
      page_size_kib: this.#hostPageSize,
      ram_block: id,
      pid: this.pid,
      uffd: 7,
    };
  }

  /** Sends a message with descriptors (`uffd:ID`, `file:ID`, `pipe`); answers READY or CLOSED. */
  async send(socket: string, message: unknown, fds: readonly string[]): Promise<string> {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    this.#say(`send ${socket} ${fds.length === 0 ? 'none' : fds.join(',')} ${text}`);
    return (await this.#answer('sent ')).slice('sent '.length);
  }

  /** Hands a mapping over as our preload library does. */
  handOver(socket: string, id: string): Promise<string> {
    return this.send(socket, [this.region(id)], [`uffd:${id}`, `file:${id}`]);
  }

  /** Touches a page in a thread; resolves with its first byte when the thread runs on. */
  async read(id: string, pgoff: number): Promise<number> {
    this.#say(`read ${id} ${pgoff}`);
    return Number((await this.#answer(`read ${id} ${pgoff} `)).split(' ')[3]);
  }

  async write(id: string, pgoff: number, value: number): Promise<void> {
    this.#say(`write ${id} ${pgoff} ${value}`);
    await this.#answer(`wrote ${id} ${pgoff} `);
  }

  /** Gives pages up, in a thread; resolves when the kernel has let it. */
  async remove(id: string, pgoff: number, count: number): Promise<void> {
    this.#say(`remove ${id} ${pgoff} ${count}`);
    await this.#answer(`removed ${id} ${pgoff} `);
  }

  /** Times `count` reads of random pages, in microseconds. */
  async sample(id: string, count: number, seed: number): Promise<number[]> {
    this.#say(`sample ${id} ${count} ${seed} ${this.#get(id).bytes / 4096}`);
    return (await this.#answer('sample ')).split(' ').slice(1).map(Number);
  }

  /** What the RAM file holds, without touching the mapping; holes are zeros. */
  contents(id: string): Buffer {
    return readFileSync(this.#get(id).path);
  }

  /** A descriptor of the RAM file; the caller closes it with the function. */
  openRam(id: string): { fd: number; close(): void } {
    const fd = openSync(this.#get(id).path, 'r');
    return { fd, close: () => closeSync(fd) };
  }

  /** Whether, within `timeoutMs`, a thread of the process comes to wait for a userfaultfd. */
  async isWaiting(timeoutMs: number): Promise<boolean> {
    const waits = (): boolean =>
      readdirSync(`/proc/${this.pid}/task`).some((task) =>
        readFileSync(`/proc/${this.pid}/task/${task}/wchan`, 'utf8').includes('userfault'),
      );
    for (const end = Date.now() + timeoutMs; Date.now() < end;) {
      if (waits()) return true;
      await setImmediate();
    }
    return waits();
  }

  /** Kills the process and removes its RAM files. */
  async close(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await exited;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #say(line: string): void {
    this.#stream('stdin').write(`${line}\n`);
  }

  async #answer(prefix: string): Promise<string> {
    for (;;) {
      const at = this.#lines.findIndex((line) => line.startsWith(prefix) || `${line} ` === prefix);
      const [line] = at < 0 ? [] : this.#lines.splice(at, 1);
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => this.#arrived.push(resolve));
    }
  }

  #stream<S extends 'stdin' | 'stdout'>(name: S): NonNullable<ChildProcess[S]> {
    const stream = this.#process[name];
    if (!stream) throw new Error(`The test VMM has no ${name}`);
    return stream;
  }

  #get(id: string): Mapped {
    const mapped = this.#mapped.get(id);
    if (!mapped) throw new Error(`${id} is not mapped`);
    return mapped;
  }
}
