import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { freeHugePages, HUGE_PAGE_BYTES, mountHugePages } from '../kit/huge-pages.js';
import type { Lab } from '../kit/lab.js';
import { test } from '../kit/lab-test.js';
import { ProcessMove, reportOf } from '../kit/process-move.js';
import { compareRam } from '../kit/ram-files.js';

const MIB = 2 ** 20;

/** What is not written after the move can be compared. */
const READER = { writePercent: 0, thinkUs: 500 };

function allocatedBytes(path: string): number {
  return statSync(path).blocks * 512;
}

function destinationRam(move: ProcessMove): string {
  return join(move.destination.ramDir, move.vm, 'ram0');
}

describe('without background', () => {
  test('a migration moves what the guest touches, and all of it once it is told to finish', async ({
    lab,
  }) => {
    // The guest uses an eighth of its RAM: by itself it would never end this.
    const workload = { ...READER, workingSetBytes: 8 * MIB };
    const move = await ProcessMove.start(lab, { workload });
    const after = await move.makeReady();
    const migrating = await move.startMigrate('-p', '-n');
    const touched = await move.waitForMigration(
      ({ state, pages }) => state === 'POSTCOPY_ACTIVE' && pages.demand >= 2048,
    );
    expect(touched.pages).toMatchObject({ background: 0 });
    expect(touched.pages.remaining).toBeGreaterThan(10_000);
    await move.change('finish');
    await move.change('finish').catch(() => undefined);
    const report = await reportOf(migrating);
    expect(report).toMatchObject({ state: 'COMPLETED', pages: { remaining: 0 } });
    expect(report.pages.background).toBeGreaterThan(10_000);
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });
});

describe('the limit of the background', () => {
  test('can be changed while the migration runs, and holds at once', async ({ lab }) => {
    const move = await ProcessMove.start(lab, { workload: { ...READER, thinkUs: 20_000 } });
    await move.makeReady();
    const migrating = await move.startMigrate('-p', '--max-bandwidth', '1MiB');
    await move.waitForMigration(({ state, pages }) => state === 'POSTCOPY_ACTIVE' && pages.background > 0);
    const rate = 8 * MIB;
    await move.change('set', '--max-bandwidth', '8MiB');
    const before = await move.migration();
    const begun = performance.now();
    await delay(2000);
    const now = await move.migration();
    const seconds = (performance.now() - begun) / 1000;
    const perSecond = ((now.pages.background - before.pages.background) * 4096) / seconds;
    // Reports come five times a second.
    expect(perSecond).toBeLessThan(rate * 1.2);
    expect(perSecond).toBeGreaterThan(rate * 0.7);
    await move.change('set', '--max-bandwidth', '0');
    expect(await reportOf(migrating)).toMatchObject({ state: 'COMPLETED' });
  });
});

describe('--release-ram', () => {
  test('frees the source as the destination fills, and nothing before the guest has moved', async ({
    lab,
  }) => {
    const move = await ProcessMove.start(lab, { workload: READER });
    const after = await move.makeReady();
    const path = move.ramPaths.get('ram0') ?? '';
    const full = allocatedBytes(path);
    expect(full).toBe(64 * MIB);
    const migrating = await move.startMigrate('-p', '--release-ram', '--max-bandwidth', '8MiB');
    const half = await move.waitForMigration(
      ({ state, pages }) => state === 'POSTCOPY_ACTIVE' && pages.remaining < 8192,
    );
    expect(half.pages.remaining).toBeGreaterThan(0);
    expect(allocatedBytes(path)).toBeLessThan(full * 0.7);
    expect(allocatedBytes(path)).toBeGreaterThan(0);
    await move.change('set', '--max-bandwidth', '0');
    expect(await reportOf(migrating)).toMatchObject({ state: 'COMPLETED', pages: { remaining: 0 } });
    expect(allocatedBytes(path)).toBe(0);
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });

  test('leaves the source whole when the migration is cancelled', async ({ lab }) => {
    const move = await ProcessMove.start(lab, { workload: READER });
    await move.register();
    await move.prepare();
    const path = move.ramPaths.get('ram0') ?? '';
    // Nobody starts the VMM, so it waits for the handoff.
    const migrating = await move.startMigrate('-p', '--release-ram');
    await move.waitForMigration(({ state }) => state === 'PREPARING');
    expect((await move.cancel()).exitCode).toBe(0);
    await migrating.exited;
    expect(allocatedBytes(path)).toBe(64 * MIB);
    await move.guest.waitForTick();
    expect(await move.guest.verifyAll()).toMatchObject({ mismatches: 0 });
  });
});

/** A program that maps the RAM file as a vhost-user back end would, and checks every page of it. */
const BACK_END = `
import hashlib, mmap, os, sys
m = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), int(sys.argv[2]))
print("mapped", flush=True)
sys.stdin.readline()
digest = hashlib.sha256()
for at in range(0, len(m), 4096): digest.update(m[at:at + 4096])
print(digest.hexdigest(), flush=True)
sys.stdin.readline()
`;

/** Starts it with the environment of a VMM, so that it hands its mapping over. */
async function startBackEnd(lab: Lab, { ram, env }: Awaited<ReturnType<ProcessMove['prepare']>>) {
  const [block] = ram;
  const child = spawn('python3', ['-c', BACK_END, block?.path ?? '', String(block?.size)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  lab.cleanup.defer('kill the back end', () => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('mapped');
  return {
    /** Has it read all pages, as many as have not arrived. */
    async digest(): Promise<unknown> {
      child.stdin.write('\n');
      return (await lines.next()).value;
    },
  };
}

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

describe('placement cache', () => {
  for (const { name, flags, touches } of [
    { name: 'serves two processes on one RAM file by one transfer', flags: [], touches: false },
    {
      name: 'with touching requests has every page touched',
      flags: ['--postcopy-flags', '1'],
      touches: true,
    },
  ])
    test(name, async ({ lab }) => {
      const move = await ProcessMove.start(lab, { workload: READER, blockSizes: [32 * MIB] });
      await move.register();
      const prepared = await move.prepare('--placement', 'cache', ...flags);
      const after = await move.startIncoming(prepared);
      const backEnd = await startBackEnd(lab, prepared);
      const migrating = await move.startMigrate('-p', '--max-bandwidth', '8MiB');
      await move.waitForMigration(({ state }) => state === 'POSTCOPY_ACTIVE');
      const source = move.ramPaths.get('ram0') ?? '';
      expect(await backEnd.digest()).toBe(await sha256(source));
      const report = await reportOf(migrating);
      expect(report).toMatchObject({ state: 'COMPLETED', pages: { total: 8192, remaining: 0 } });
      expect(report.pages.demand + report.pages.background).toBe(8192);
      expect(report.touchRequests > 0).toBe(touches);
      expect(report.touchedPages).toBe(touches ? 8192 : 0);
      expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
      expect(await compareRam(source, destinationRam(move))).toBeNull();
    });
});

describe('huge pages', () => {
  test('that are a must are refused with the numbers when too few are free', async ({ lab, skip }) => {
    const dir = await mountHugePages(lab, 0);
    if (dir === null) return skip();
    const destinationAgent = ['--hugetlbfs-dir', join(dir, 'umem'), '--huge-pages', 'always'];
    const move = await ProcessMove.start(lab, { flags: { destination: { destinationAgent } } });
    await move.register();
    const free = freeHugePages();
    const need = (64 * MIB) / HUGE_PAGE_BYTES;
    if (free >= need) return skip();
    const refused = await move.startMigrate('-p');
    expect((await refused.exited).code).toBe(3);
    expect(refused.log).toContain(`need ${need} free 2 MiB pages, ${free} free`);
    await move.guest.waitForTick();
  });

  test('are freed on the source whole, once the destination has confirmed all of them', async ({
    lab,
    skip,
  }) => {
    const dir = await mountHugePages(lab, 32);
    if (dir === null) return skip();
    const move = await ProcessMove.start(lab, { ramDir: dir, workload: READER });
    const after = await move.makeReady();
    const path = move.ramPaths.get('ram0') ?? '';
    expect(allocatedBytes(path)).toBe(64 * MIB);
    expect(await move.migrate('-p', '--release-ram')).toMatchObject({
      state: 'COMPLETED',
      pages: { remaining: 0 },
    });
    expect(allocatedBytes(path)).toBeLessThan(64 * MIB);
    expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });
  });
});
