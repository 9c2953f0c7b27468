import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { getIncoming } from '../kit/incoming.js';
import { test } from '../kit/lab-test.js';
import type { Lab } from '../kit/lab.js';
import { mappingsOf } from '../kit/process-memory.js';
import { ProcessMove, reportOf } from '../kit/process-move.js';
import { startRamBackEnd } from '../kit/ram-back-end.js';
import { compareRam } from '../kit/ram-files.js';

const MIB = 2 ** 20;
const SIZE = 32 * MIB;
/** What is not written after the move can be compared. */
const READER = { writePercent: 0, thinkUs: 500 };

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/** A guest that can move with placement cache; `path`: its RAM on the destination, `after`: its VMM there. */
async function startMove(lab: Lab) {
  const move = await ProcessMove.start(lab, { workload: READER, blockSizes: [SIZE] });
  await move.register();
  const prepared = await move.prepare('--placement', 'cache');
  const after = await move.startIncoming(prepared);
  return { move, path: prepared.ram[0]?.path ?? '', env: prepared.env, after };
}

test('a process that gets RAM by a descriptor, while the guest runs, is served in every part that it maps', async ({
  lab,
}) => {
  const { move, path, env, after } = await startMove(lab);
  const backEnd = await startRamBackEnd(lab, { path, size: SIZE }, env);
  const migrating = await move.startMigrate('-p', '--max-bandwidth', '4MiB');
  await move.waitForMigration(({ state }) => state === 'POSTCOPY_ACTIVE');
  await backEnd.map();
  const flags = (await mappingsOf(backEnd.pid, path)).map((mapping) => mapping.flags.includes('um'));
  expect(flags.length).toBeGreaterThanOrEqual(3);
  expect(flags).not.toContain(false);
  // Thrown away and mapped anew, as a back end does whose device is reset.
  await backEnd.map();
  const source = move.ramPaths.get('ram0') ?? '';
  expect(await backEnd.digest()).toBe(await sha256(source));
  expect(await reportOf(migrating)).toMatchObject({
    state: 'COMPLETED',
    pages: { total: 8192, remaining: 0 },
  });
  expect(await compareRam(source, path)).toBeNull();
  expect(await after.verifyAll()).toMatchObject({ mismatches: 0 });

  // From now on nobody takes a handoff, and none is needed.
  await backEnd.map();
  expect(await backEnd.digest()).toBe(await sha256(source));
  expect(await backEnd.writeLastByte(77)).toBe(77);
  const now = (await mappingsOf(backEnd.pid, path)).map((mapping) => mapping.flags.includes('um'));
  expect(now).not.toContain(true);
});

test('a process that uses guest RAM without handing it over stops the guest, and is named', async ({
  lab,
}) => {
  const { move, path } = await startMove(lab);
  const stranger = await startRamBackEnd(lab, { path, size: SIZE }, {});
  const migrating = await move.startMigrate('-p', '--max-bandwidth', '1MiB');
  await move.waitForMigration(({ state }) => state === 'POSTCOPY_ACTIVE');
  await stranger.map();
  await stranger.digest();
  expect((await migrating.exited).code).toBe(5);
  expect(migrating.log).toContain(`Process ${stranger.pid} (python3) uses RAM block "ram0"`);
  expect(await getIncoming(move.destination, move.vm)).toMatchObject({ state: 'FAILED' });
});

test('one that has used it before the guest is stopped fails the migration, and the source runs on', async ({
  lab,
}) => {
  const { move, path } = await startMove(lab);
  const stranger = await startRamBackEnd(lab, { path, size: SIZE }, {});
  await stranger.map();
  await stranger.digest();
  const migrating = await move.startMigrate('-p');
  expect((await migrating.exited).code).toBe(3);
  expect(migrating.log).toContain(`Process ${stranger.pid} (python3) uses RAM block "ram0"`);
  await move.guest.waitForTick();
  expect(await move.guest.verifyAll()).toMatchObject({ mismatches: 0 });
});
