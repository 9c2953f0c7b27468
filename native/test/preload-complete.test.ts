import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guest } from './kit/guest.js';
import { closeAll, handoffEnvironment, HandoffServer } from './kit/handoff-server.js';
import { makeDirectory, openFdsOf } from './kit/process.js';

const PAGE = 4096;
const SIZE = 16 * PAGE;
/** The sticky bit says that every page is there. */
const COMPLETE = 0o1600;
const directory = makeDirectory('/dev/shm');
afterAll(() => directory.remove());

let server: HandoffServer;
let guest: Guest;
let path: string;
let count = 0;

beforeEach(async () => {
  server = new HandoffServer(join(directory.path, `${count++}.sock`));
  path = join(directory.path, `ram${count}`);
  guest = new Guest(handoffEnvironment(`ram0=${path}`, server.path));
  await guest.ask(`create ${path} ${SIZE}`, 'file');
});
afterEach(async () => {
  await guest.stop();
  server.close();
  expect(openFdsOf('userfaultfd')).toEqual([]);
});

async function expectPlainMemory(): Promise<void> {
  await guest.answer('mapped');
  guest.send('read 0 3');
  await guest.answer('reading');
  expect(await guest.answer('value')).toEqual(['0']);
  guest.send('remove 0 3 1');
  await guest.answer('removed');
}

describe('a RAM file of which every page is there', () => {
  it('is mapped like any other, with no page server to hand it to', async () => {
    chmodSync(path, COMPLETE);
    server.close();
    guest.send(`map shared ${SIZE} 0`);
    await expectPlainMemory();
    expect((await guest.stop()).stderr).toBe('');
  });

  it('is mapped like any other when the last page came while its handoff was refused', async () => {
    guest.send(`map shared ${SIZE} 0`);
    const handoff = await server.next();
    closeAll(handoff.fds);
    handoff.connection.close();
    chmodSync(path, COMPLETE);
    await expectPlainMemory();
  });

  it('is one that the mark is on: a mapping of another block is handed over as ever', async () => {
    const other = `${path}-other`;
    await guest.stop();
    guest = new Guest(handoffEnvironment(`ram0=${path}:ram1=${other}`, server.path));
    chmodSync(path, COMPLETE);
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    await guest.answer('mapped');
    await guest.ask(`create ${other} ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    const handoff = await server.next();
    expect(handoff.region['ram_block']).toBe('ram1');
    closeAll(handoff.fds);
  });
});
