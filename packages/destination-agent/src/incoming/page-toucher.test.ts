import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseMaps } from './file-mappings.js';
import { PageToucher } from './page-toucher.js';

const PAGES = 256;
/** Maps the file shared and waits; a line on stdin makes it unmap. */
const PROGRAM = `
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, ${PAGES * 4096})
print("mapped", flush=True)
sys.stdin.readline()
m.close()
print("unmapped", flush=True)
sys.stdin.readline()
`;

let dir: string;
let path: string;
let children: ChildProcess[];
beforeEach(async () => {
  dir = await mkdtemp('/dev/shm/umem-touch-');
  path = join(dir, 'ram0');
  children = [];
  const file = await open(path, 'w');
  await file.write(Buffer.alloc(PAGES * 4096, 7));
  await file.close();
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rm(dir, { recursive: true });
});

function says(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (data: Buffer) =>
      data.toString().trim() === word ? resolve() : reject(new Error(data.toString())),
    );
    child.once('error', reject);
  });
}

async function startProcess(): Promise<ChildProcess & { pid: number }> {
  const child = spawn('python3', ['-c', PROGRAM, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  await says(child, 'mapped');
  return Object.assign(child, { pid: child.pid ?? 0 });
}

/** Pages of the file in a process's page tables. */
async function residentPages(pid: number): Promise<number> {
  let isOurs = false;
  for (const line of (await readFile(`/proc/${pid}/smaps`, 'utf8')).split('\n')) {
    if (/^[0-9a-f]+-/.test(line)) isOurs = line.endsWith(path);
    else if (isOurs && line.startsWith('Rss:')) return Number(/\d+/.exec(line)?.[0]) / 4;
  }
  return 0;
}

it('brings placed pages into the page tables of every process that maps the file', async () => {
  const [first, second] = [await startProcess(), await startProcess()];
  expect(await residentPages(first.pid)).toBe(0);
  const toucher = new PageToucher(
    () => path,
    () => false,
  );
  const pgoffs = Array.from({ length: 200 }, (_, i) => i);
  expect(await toucher.touch('ram0', [...pgoffs, 255])).toEqual({ faulted: [...pgoffs, 255], unmapped: [] });
  for (const { pid } of [first, second]) expect(await residentPages(pid)).toBeGreaterThanOrEqual(201);
  await toucher.close();
});

it('leaves processes alone that it is told to, and says which pages nobody maps', async () => {
  const child = await startProcess();
  const toucher = new PageToucher(
    () => path,
    (pid) => pid === child.pid,
  );
  expect(await toucher.touch('ram0', [1, 2])).toEqual({ faulted: [], unmapped: [1, 2] });
  expect(await residentPages(child.pid)).toBe(0);
  await toucher.close();
});

it('notices that a process has unmapped the file, or has ended', async () => {
  const child = await startProcess();
  const toucher = new PageToucher(
    () => path,
    () => false,
  );
  expect((await toucher.touch('ram0', [1])).faulted).toEqual([1]);
  child.stdin?.write('\n');
  await says(child, 'unmapped');
  expect((await toucher.touch('ram0', [2])).unmapped).toEqual([2]);
  const other = await startProcess();
  expect((await toucher.touch('ram0', [3])).faulted).toEqual([3]);
  const ended = new Promise((resolve) => other.once('exit', resolve));
  other.kill('SIGKILL');
  await ended;
  expect((await toucher.touch('ram0', [4])).unmapped).toEqual([4]);
  await toucher.close();
});

it('refuses a block that is not there', async () => {
  const toucher = new PageToucher(
    () => undefined,
    () => false,
  );
  await expect(toucher.touch('ram9', [1])).rejects.toThrow(/ram9/);
});

it('finds only shared, readable mappings of the file itself', () => {
  const maps = [
    '7f0000000000-7f0000100000 rw-s 00200000 00:1a 77 /dev/shm/ram',
    '7f0000200000-7f0000300000 r--p 00000000 00:1a 77 /dev/shm/ram',
    '7f0000400000-7f0000500000 ---s 00000000 00:1a 77 /dev/shm/ram',
    '7f0000600000-7f0000700000 rw-s 00000000 00:1b 77 /other',
    '7f0000800000-7f0000900000 rw-s 00000000 00:1a 78 /dev/shm/other',
    '',
  ].join('\n');
  expect(parseMaps(maps, { dev: 0x1a, ino: 77 })).toEqual([
    { address: 0x7f0000000000, pages: { pgoff: 512, pageCount: 256 } },
  ]);
});
