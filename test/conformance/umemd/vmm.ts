import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { untilTrue } from '../waits.js';
import { Changes } from './changes.js';

/** Where a mapping is in the VMM, as handoff messages say it. */
export interface Region {
  readonly base_host_virt_addr: number;
  readonly size: number;
  readonly offset: number;
  readonly page_size: number;
  readonly page_size_kib: number;
}

interface Mapped {
  readonly address: number;
  readonly bytes: number;
  /** Bytes of the pages behind it. */
  readonly pageBytes: number;
}

/** Features of userfaultfd(2) that our preload library asks for: thread ids, remove, hugetlbfs and shmem. */
const PRELOAD = (1 << 8) | (1 << 3) | (1 << 4) | (1 << 5);

/** The same, those that Firecracker asks for, and all that tell of changes: fork, remap and unmap, too. */
export const FEATURES = {
  preload: PRELOAD,
  firecracker: 1 << 3,
  allEvents: PRELOAD | (1 << 1) | (1 << 2) | (1 << 6),
} as const;

const PAGE_BYTES = 4096;

/** A VMM: a process of vmm.c that maps guest RAM and touches it as it is told. */
export class Vmm {
  readonly pid: number;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: string[] = [];
  readonly #changes = new Changes();
  readonly #mapped = new Map<string, Mapped>();
  #stderr = '';
  #isOver = false;

  constructor(program: string, env: Readonly<Record<string, string>> = {}) {
    this.#process = spawn(program, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    this.pid = this.#process.pid ?? 0;
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#changes.tell();
    });
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.#process.stdin.on('error', () => undefined);
    this.#process.on('close', () => {
      this.#isOver = true;
      this.#changes.tell();
    });
  }

  /** Maps a RAM file shared. Under the preload library, this hands it over. */
  async mapFile(id: string, path: string, bytes: number, pageBytes = PAGE_BYTES): Promise<void> {
    const line = await this.#ask(`map ${id} ${path} ${bytes}`, `mapped ${id}`);
    this.#mapped.set(id, { address: Number(line.split(' ')[2]), bytes, pageBytes });
  }

  async mapAnonymous(id: string, bytes: number): Promise<void> {
    const line = await this.#ask(`anon ${id} ${bytes}`, `mapped ${id}`);
    this.#mapped.set(id, { address: Number(line.split(' ')[2]), bytes, pageBytes: PAGE_BYTES });
  }

  /** One userfaultfd for these mappings, with a name. */
  async register(name: string, ids: readonly string[], features: number): Promise<void> {
    await this.#ask(`register ${name} ${features} ${ids.join(',')}`, `registered ${name}`);
  }

  /** Where a mapping is, and the part of its block that it is. */
  region(id: string, offset = 0): Region {
    const { address, bytes, pageBytes } = this.#get(id);
    return {
      base_host_virt_addr: address,
      size: bytes,
      offset,
      page_size: pageBytes,
      page_size_kib: pageBytes,
    };
  }

  /** Sends a handoff; answers the line that came back, or CLOSED. `fds`: uffd:NAME, file:ID or pipe. */
  async send(socket: string, message: unknown, fds: readonly string[], pieceBytes = 0): Promise<string> {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    const line = await this.#ask(
      `send ${socket} ${fds.length === 0 ? 'none' : fds.join(',')} ${pieceBytes} ${text}`,
      'sent',
    );
    return line.slice('sent '.length);
  }

  /** Touches a page; answers its CRC-32 when the thread that did so runs on. */
  async read(id: string, pgoff: number): Promise<number> {
    return Number((await this.#ask(`read ${id} ${pgoff}`, `read ${id} ${pgoff}`)).split(' ')[3]);
  }

  /** The same by a child that is forked for it. */
  async readInChild(id: string, pgoff: number): Promise<number> {
    return Number((await this.#ask(`child ${id} ${pgoff}`, `child ${id} ${pgoff}`)).split(' ')[3]);
  }

  /** Fills a page with a value. */
  async write(id: string, pgoff: number, value: number): Promise<void> {
    await this.#ask(`write ${id} ${pgoff} ${value}`, `wrote ${id} ${pgoff}`);
  }

  /** Moves a mapping to another address. */
  async move(id: string): Promise<void> {
    const line = await this.#ask(`move ${id}`, `moved ${id}`);
    this.#mapped.set(id, { ...this.#get(id), address: Number(line.split(' ')[2]) });
  }

  async unmap(id: string, pgoff: number, count: number): Promise<void> {
    await this.#ask(`unmap ${id} ${pgoff} ${count}`, `unmapped ${id} ${pgoff}`);
  }

  /** Punches a hole into the RAM file, which no event tells of. */
  async punch(id: string, pgoff: number, count: number): Promise<void> {
    await this.#ask(`punch ${id} ${pgoff} ${count}`, `punched ${id} ${pgoff}`);
  }

  /** Gives pages up with MADV_REMOVE. */
  async remove(id: string, pgoff: number, count: number): Promise<void> {
    await this.#ask(`remove ${id} ${pgoff} ${count}`, `removed ${id} ${pgoff}`);
  }

  /** What the guest sees, page by page. */
  async dump(id: string, path: string): Promise<Buffer> {
    await this.#ask(`dump ${id} ${path}`, `dumped ${id}`);
    return readFile(path);
  }

  /** Resolves when this many threads of the process wait for a page. */
  async untilWaiting(threads: number): Promise<void> {
    await untilTrue(`${threads} threads of the VMM to wait for pages`, async () => {
      const tasks = await readdir(`/proc/${this.pid}/task`);
      const waits = await Promise.all(
        tasks.map(async (task) => {
          // A thread may end while we look.
          const where = await readFile(`/proc/${this.pid}/task/${task}/wchan`, 'utf8').catch(() => '');
          return where.includes('userfault');
        }),
      );
      return waits.filter(Boolean).length >= threads;
    });
  }

  /** SIGKILL; resolves when it has ended. Idempotent. */
  async kill(): Promise<void> {
    if (this.#isOver) return;
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGKILL');
    await closed;
  }

  /** Sends a command; resolves with the line that begins with these words: "dumped part1" is not "dumped part10". */
  #ask(command: string, answer: string): Promise<string> {
    this.#process.stdin.write(`${command}\n`);
    return this.#changes.until(`the VMM to say "${answer}"`, () => {
      const at = this.#lines.findIndex((line) => `${line} `.startsWith(`${answer} `));
      const [line] = at < 0 ? [] : this.#lines.splice(at, 1);
      if (line !== undefined) return line;
      if (this.#isOver) throw new Error(`The VMM has ended: ${this.#stderr.trim()}`);
      return null;
    });
  }

  #get(id: string): Mapped {
    const mapped = this.#mapped.get(id);
    if (mapped === undefined) throw new Error(`${id} is not mapped`);
    return mapped;
  }
}
