import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { HostPrecondition } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { RamGuard, type GuardedRam } from './ram-guard.js';

/** Maps the file, and touches its first page when it is told to. */
const PROGRAM = `
import mmap, os, sys
m = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 65536)
print("mapped", flush=True)
sys.stdin.readline()
m[0]
print("touched", flush=True)
sys.stdin.readline()
`;

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync('/dev/shm/umem-guard-');
  path = join(dir, 'ram0');
  writeFileSync(path, Buffer.alloc(65536));
});
afterEach(() => rmSync(dir, { recursive: true }));

/** A process that maps the RAM file without handing anything over. */
async function startStranger(): Promise<{ pid: number; touch(): Promise<void> }> {
  const child = spawn('python3', ['-c', PROGRAM, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('mapped');
  return {
    pid: child.pid ?? 0,
    async touch() {
      child.stdin.write('\n');
      expect((await lines.next()).value).toBe('touched');
    },
  };
}

function guard(changes: Partial<GuardedRam> = {}, failures: unknown[] = []): RamGuard {
  const block = { blockId: 'ram0', sizeBytes: 65536, hostPageSizeBytes: 4096 };
  const guarded: GuardedRam = {
    ram: { files: [{ block, path }] },
    pageServerPids: new Set(),
    link: { isArriving: () => Promise.resolve(true) },
    ...changes,
  };
  const made = new RamGuard('vm1', guarded, (error) => failures.push(error));
  onTestFinished(() => made.stop());
  return made;
}

describe('the guard of RAM files', () => {
  it('lets a process be that has touched nothing, and names one that has', async () => {
    const stranger = await startStranger();
    await guard().check();
    await stranger.touch();
    const check = guard().check();
    await expect(check).rejects.toThrow(HostPrecondition);
    await expect(check).rejects.toThrow(
      new RegExp(`Process ${stranger.pid} \\(python3\\) uses RAM block "ram0" of "vm1".*LD_PRELOAD`),
    );
  });

  it('tells of it while the guest runs, once', async () => {
    const stranger = await startStranger();
    const found: string[] = [];
    const message = await new Promise<string>((resolve) => {
      const watching = guard();
      watching.start((text) => {
        found.push(text);
        resolve(text);
      });
      watching.start((text) => found.push(text));
      void stranger.touch();
    });
    expect(found).toEqual([message]);
    expect(message).toContain(`Process ${stranger.pid}`);
  });

  it('says nothing when all pages are there, when it was the page server, and after its end', async () => {
    const stranger = await startStranger();
    await stranger.touch();
    await guard({ link: { isArriving: () => Promise.resolve(false) } }).check();
    await guard({ pageServerPids: new Set([stranger.pid]) }).check();
    const ended = guard();
    ended.stop();
    ended.start(() => expect.unreachable());
    const { link } = { link: { isArriving: () => Promise.reject(new Error('no page server')) } };
    const failures: unknown[] = [];
    const blind = guard({ link }, failures);
    await blind.check();
    await blind.check();
    expect(failures).toHaveLength(1);
  });

  it('does not mind a process that ends while it looks', async () => {
    const child = spawn('python3', ['-c', PROGRAM, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const check = guard().check();
    child.kill('SIGKILL');
    await check;
  });
});
