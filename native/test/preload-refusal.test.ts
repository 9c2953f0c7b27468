import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { preloadLibraryPath } from '../ts/index.js';
import { Guest } from './kit/guest.js';
import { closeAll, handoffEnvironment, HandoffServer } from './kit/handoff-server.js';
import { makeDirectory, openFdsOf } from './kit/process.js';

const SIZE = 16 * 4096;
const directory = makeDirectory('/dev/shm');
afterAll(() => directory.remove());

let server: HandoffServer;
let guest: Guest;
let count = 0;

const start = (env: Record<string, string>) => (guest = new Guest(env));
const startWith = (ram: string) => start(handoffEnvironment(ram, server.path));

beforeEach(() => {
  server = new HandoffServer(join(directory.path, `${count++}.sock`));
});
afterEach(async () => {
  await guest.stop();
  server.close();
  expect(openFdsOf('userfaultfd')).toEqual([]);
});

describe('the handoff library ends the VMM with one line', () => {
  const mapAndExit = async () => {
    const path = join(directory.path, 'refused');
    startWith(`ram0=${path}`);
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    return guest.exited;
  };

  it('when no page server answers', async () => {
    server.close();
    expect(await mapAndExit()).toEqual({
      code: null,
      signal: 'SIGABRT',
      stderr: `umem-handoff: RAM block ram0: no page server answers at ${server.path}: No such file or directory; prepare the incoming VM first\n`,
    });
  });

  it('when the page server closes the connection', async () => {
    const exit = mapAndExit();
    const handoff = await server.next();
    closeAll(handoff.fds);
    handoff.connection.close();
    expect(await exit).toMatchObject({
      signal: 'SIGABRT',
      stderr: expect.stringContaining('refused the handoff (it closed the connection); its log says why\n'),
    });
  });

  it('when the page server answers something else', async () => {
    for (const answer of ['NO\u0007 such block\n', `${'x'.repeat(500)}`, 'READY!\n', 'READ\n']) {
      const exit = mapAndExit();
      const handoff = await server.next();
      closeAll(handoff.fds);
      handoff.connection.write(Buffer.from(answer));
      const { signal, stderr } = await exit;
      expect(signal).toBe('SIGABRT');
      expect(stderr).toMatch(/refused the handoff: (NO\? such block|x{128}|READY!|READ)\n$/);
    }
  });

  it('when the page server does not answer in time', async () => {
    const path = join(directory.path, 'late');
    const library = preloadLibraryPath().replace('libumem-handoff', 'test/libumem-handoff-impatient');
    start({ ...handoffEnvironment(`ram0=${path}`, server.path), LD_PRELOAD: library });
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    closeAll((await server.next()).fds);
    expect(await guest.exited).toMatchObject({
      signal: 'SIGABRT',
      stderr: expect.stringContaining('did not answer the handoff within 200 ms'),
    });
  });

  it('when its memory is locked as soon as it is mapped', async () => {
    const path = join(directory.path, 'locked');
    startWith(`ram0=${path}`);
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map locked ${SIZE} 0`);
    expect(await guest.exited).toMatchObject({
      signal: 'SIGABRT',
      stderr: expect.stringContaining(
        'RAM block ram0 was filled with zeros while it was mapped: drop prealloc=on',
      ),
    });
  });

  it('when its RAM is on a file system that userfaultfd does not know', async () => {
    const disk = makeDirectory('/var/tmp');
    const path = join(disk.path, 'ram');
    startWith(`ram0=${path}`);
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    expect(await guest.exited).toMatchObject({
      signal: 'SIGABRT',
      stderr: expect.stringContaining('RAM files must be on tmpfs, memfd or hugetlbfs'),
    });
    disk.remove();
  });

  it('when its variables make no sense, before it starts', async () => {
    for (const [ram, problem] of [
      ['', 'UMEM_HANDOFF is set but UMEM_RAM is not'],
      ['ram0', "UMEM_RAM has an entry without '='"],
      ['ram0=', 'UMEM_RAM has an entry without a path'],
      ['=x', 'whose id is empty'],
    ] as const) {
      startWith(ram);
      const exit = await guest.exited;
      expect(exit).toMatchObject({ code: 1, signal: null });
      expect(exit.stderr).toContain(problem);
      expect(exit.stderr.trim().split('\n')).toHaveLength(1);
    }
  });
});
