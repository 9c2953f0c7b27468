import { chmodSync, fstatSync, mkdirSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_KIND, native, preloadLibraryPath, type NativeUserfaultfd } from '../ts/index.js';
import { Guest } from './kit/guest.js';
import { EventQueue } from './kit/events.js';
import {
  answerReady,
  closeAll,
  handoffEnvironment,
  HandoffServer,
  type Handoff,
} from './kit/handoff-server.js';
import { makeDirectory, openFdsOf } from './kit/process.js';

const PAGE = 4096;
const SIZE = 16 * PAGE;
const directory = makeDirectory('/dev/shm');
chmodSync(directory.path, 0o711); // some guests run as another user
afterAll(() => directory.remove());

let server: HandoffServer;
let guest: Guest;
let count = 0;

const start = (env: Record<string, string>) =>
  (guest = new Guest({ LD_PRELOAD: preloadLibraryPath(), ...env }));
const startWith = (ram: string) => (guest = new Guest(handoffEnvironment(ram, server.path)));
const at = (handoff: Handoff, page: number) =>
  BigInt(String(handoff.region['base_host_virt_addr'])) + BigInt(page * PAGE);

/** Takes the userfaultfd, closes the RAM file. */
function adopt(handoff: Handoff): NativeUserfaultfd {
  const [uffd = -1, file = -1] = handoff.fds;
  native.closeFd(file);
  return native.adoptUserfaultfd(uffd);
}

const guestUserfaultfds = () =>
  readdirSync(`/proc/${guest.pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${guest.pid}/fd/${fd}`) === 'anon_inode:[userfaultfd]';
    } catch {
      return false; // closed since the directory was read
    }
  });

beforeEach(() => {
  server = new HandoffServer(join(directory.path, `${count++}.sock`));
});
afterEach(async () => {
  await guest.stop();
  server.close();
  expect(openFdsOf('userfaultfd')).toEqual([]);
  expect(openFdsOf(directory.path).map((fd) => readlinkSync(`/proc/self/fd/${fd}`))).toEqual([]);
});

describe('the handoff library', () => {
  it('hands over a mapping of a RAM file before the VMM can use it, and faults are served', async () => {
    const path = join(directory.path, 'plain');
    startWith(`ram0=${path}`);
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE - PAGE} ${PAGE}`);
    const handoff = await server.next();
    const [uffdFd = -1, file = -1] = handoff.fds;
    expect(fstatSync(file).ino).toBe(statSync(path).ino);
    expect(readlinkSync(`/proc/self/fd/${uffdFd}`)).toContain('userfaultfd');
    expect(guest.hasAnswered('mapped')).toBe(false);
    answerReady(handoff);
    const [, address] = await guest.answer('mapped');
    expect(handoff.region).toEqual({
      base_host_virt_addr: Number(address),
      size: SIZE - PAGE,
      offset: PAGE,
      page_size: PAGE,
      page_size_kib: PAGE,
      ram_block: 'ram0',
      pid: guest.pid,
      uffd: Number(guestUserfaultfds()[0]),
    });

    const uffd = adopt(handoff);
    const events = new EventQueue(uffd);
    guest.send('read 0 3');
    const [threadId] = await guest.answer('reading');
    expect(await events.next()).toMatchObject({
      kind: EVENT_KIND.pagefault,
      address: at(handoff, 3),
      threadId: Number(threadId),
    });
    uffd.fill(at(handoff, 3), 0x5a, PAGE);
    expect(await guest.answer('value')).toEqual([`${0x5a}`]);
    guest.send('remove 0 3 1');
    expect(await events.next()).toMatchObject({ kind: EVENT_KIND.remove, address: at(handoff, 3) });
    await guest.answer('removed');
    uffd.close();
  });

  it('keeps its own copy of the userfaultfd, so that faults wait when the page server is gone', async () => {
    const path = join(directory.path, 'kept');
    startWith(`ram0=${path}`);
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    const handoff = await server.next();
    answerReady(handoff);
    await guest.answer('mapped');
    closeAll(handoff.fds);
    guest.send('read 0 1');
    await guest.answer('reading');
    expect(guest.hasAnswered('value')).toBe(false);
    // A new page server takes the descriptor back and serves the fault.
    const pidfd = native.pidfdOpen(guest.pid);
    const uffd = native.adoptUserfaultfd(native.pidfdGetfd(pidfd, Number(handoff.region['uffd'])));
    native.closeFd(pidfd);
    const events = new EventQueue(uffd);
    expect((await events.next()).address).toBe(at(handoff, 1));
    uffd.fill(at(handoff, 1), 8, PAGE);
    expect(await guest.answer('value')).toEqual(['8']);
    uffd.close();
  });

  it('hands over several blocks, each with its id, and a second mapping of the same block', async () => {
    const paths = ['one', 'two'].map((name) => join(directory.path, name));
    startWith(`ram0=${paths[0]}:pc.ram/1=${paths[1]}`);
    const blocks: unknown[] = [];
    for (const path of [paths[0], paths[1], paths[0]]) {
      await guest.ask(`create ${path} ${SIZE}`, 'file');
      guest.send(`map shared ${SIZE} 0`);
      const handoff = await server.next();
      blocks.push(handoff.region['ram_block']);
      answerReady(handoff);
      await guest.answer('mapped');
      closeAll(handoff.fds);
    }
    expect(blocks).toEqual(['ram0', 'pc.ram/1', 'ram0']);
    expect(guestUserfaultfds()).toHaveLength(3);
  });

  it('finds a file by a glob, also one that did not exist when the VMM started', async () => {
    startWith(`ram0=${directory.path}/*-vm/pc.[rR]am`);
    mkdirSync(join(directory.path, '7-vm'));
    await guest.ask(`create ${directory.path}/7-vm/pc.ram ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    const handoff = await server.next();
    answerReady(handoff);
    await guest.answer('mapped');
    closeAll(handoff.fds);
  });

  it('finds a memfd by its name', async () => {
    startWith('ram0=memfd:memory-backend-memfd');
    await guest.ask(`memfd other ${SIZE}`, 'file');
    await guest.ask(`map shared ${SIZE} 0`, 'mapped');
    await guest.ask(`memfd memory-backend-memfd ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    const handoff = await server.next();
    expect(handoff.region['ram_block']).toBe('ram0');
    answerReady(handoff);
    await guest.answer('mapped');
    closeAll(handoff.fds);
  });

  it('leaves other mappings alone: private ones, other files, anonymous memory, children', async () => {
    const ram = join(directory.path, 'ram');
    startWith(`ram0=${ram}`);
    await guest.ask(`create ${ram} ${SIZE}`, 'file');
    await guest.ask(`map private ${SIZE} 0`, 'mapped');
    await guest.ask(`create ${ram}-not ${SIZE}`, 'file');
    await guest.ask(`map shared ${SIZE} 0`, 'mapped');
    expect(await guest.ask('read 1 0', 'value')).toEqual(['0']);
    expect(await guest.ask('child', 'child')).toEqual(['0']);
    expect(guestUserfaultfds()).toEqual([]);
    expect(server.waiting).toBe(0);
    expect((await guest.stop()).stderr).toBe('');
  });

  it('hands over mappings that several threads make at the same time', async () => {
    const path = join(directory.path, 'parallel');
    startWith(`ram0=${path}`);
    await guest.ask(`create ${path} ${32 * SIZE}`, 'file');
    guest.send(`slices 32 ${SIZE}`);
    const handoffs: Handoff[] = [];
    // All of them wait at once: none is answered before the last has come.
    while (handoffs.length < 32) handoffs.push(await server.next());
    expect(guest.hasAnswered('mapped')).toBe(false);
    handoffs.forEach(answerReady);
    const mapped = new Set<number>();
    for (let i = 0; i < 32; i++) mapped.add(Number((await guest.answer('mapped'))[1]));
    expect(new Set(handoffs.map((each) => each.region['base_host_virt_addr']))).toEqual(mapped);
    const offsets = handoffs.map((each) => Number(each.region['offset'])).sort((a, b) => a - b);
    expect(offsets).toEqual(Array.from({ length: 32 }, (_, i) => i * SIZE));
    handoffs.forEach((each) => closeAll(each.fds));
  });

  it('does not let the kernel fill the mapping before it is handed over', async () => {
    const path = join(directory.path, 'populate');
    startWith(`ram0=${path}`);
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map populate ${SIZE} 0`);
    const handoff = await server.next();
    expect([...native.dataExtents(handoff.fds[1] ?? -1, SIZE)]).toEqual([]);
    answerReady(handoff);
    await guest.answer('mapped');
    closeAll(handoff.fds);
    expect((await guest.stop()).stderr).toContain(
      'RAM block ram0: mapped without MAP_POPULATE and MAP_LOCKED',
    );
  });

  it('takes /dev/userfaultfd where the system call is denied', async () => {
    startWith('ram0=memfd:guest-ram');
    await guest.ask('deny', 'denied');
    await guest.ask(`memfd guest-ram ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    const handoff = await server.next();
    answerReady(handoff);
    await guest.answer('mapped');
    closeAll(handoff.fds);
    expect((await guest.stop()).stderr).toBe('');
  });

  it('does nothing without its variables', async () => {
    start({});
    await guest.ask(`create ${directory.path}/plain ${SIZE}`, 'file');
    await guest.ask(`map shared ${SIZE} 0`, 'mapped');
    expect((await guest.stop()).stderr).toBe('');
    expect(server.waiting).toBe(0);
  });

  it('says that RAM stays plain memory when there is nobody to hand it to', async () => {
    start({ UMEM_RAM: `ram0=${directory.path}/plain` });
    await guest.ask(`create ${directory.path}/plain ${SIZE}`, 'file');
    await guest.ask(`map shared ${SIZE} 0`, 'mapped');
    expect((await guest.stop()).stderr).toBe(
      'umem-handoff: UMEM_RAM is set but UMEM_HANDOFF is not: RAM is not handed over and stays plain memory\n',
    );
  });

  it('takes an answer that comes in pieces', async () => {
    const path = join(directory.path, 'pieces');
    startWith(`ram0=${path}`);
    await guest.ask(`create ${path} ${SIZE}`, 'file');
    guest.send(`map shared ${SIZE} 0`);
    const handoff = await server.next();
    for (const piece of ['RE', 'ADY', '\n']) {
      handoff.connection.write(Buffer.from(piece));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await guest.answer('mapped');
    closeAll(handoff.fds);
  });
});
