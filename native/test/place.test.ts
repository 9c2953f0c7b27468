import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toPlaceOutcome, UFFD_FEATURE } from '../ts/index.js';
import { startRegisteredGuest, type RegisteredGuest } from './kit/guest.js';
import { EventQueue } from './kit/events.js';
import { until } from './kit/process.js';

const { EAGAIN, EEXIST, ENOENT, ESRCH } = constants.errno;
const PAGE = 4096;
const PAGES = 1024;

describe('placing pages', () => {
  let registered: RegisteredGuest;
  const at = (page: number) => registered.base + BigInt(page * PAGE);
  const guestReads = async (page: number) => {
    const [value] = await registered.guest.ask(`read 0 ${page}`, 'value');
    return Number(value);
  };

  beforeEach(async () => {
    registered = await startRegisteredGuest(PAGES, UFFD_FEATURE.eventRemove | UFFD_FEATURE.threadId);
  });
  afterEach(async () => {
    registered.uffd.close();
    await registered.guest.stop();
  });

  it('copies a run out of the middle of an unaligned buffer', async () => {
    const source = new Uint8Array(3 * PAGE + 5);
    source
      .fill(1, 0, 5)
      .fill(2, 5, 5 + PAGE)
      .fill(3, 5 + PAGE);
    const result = registered.uffd.copy(at(7), source, 5, 2 * PAGE);
    expect(result).toEqual({ placedBytes: 2 * PAGE, errno: 0 });
    expect(toPlaceOutcome(result)).toBe('placed');
    expect(await guestReads(7)).toBe(2);
    expect(await guestReads(8)).toBe(3);
  });

  it('says EEXIST for a page that is there, and leaves it as it is', async () => {
    registered.uffd.fill(at(3), 7, PAGE);
    const result = registered.uffd.copy(at(3), new Uint8Array(PAGE), 0, PAGE);
    expect(result).toEqual({ placedBytes: 0, errno: EEXIST });
    expect(toPlaceOutcome(result)).toBe('already-present');
    expect(await guestReads(3)).toBe(7);
  });

  it('stops a run in its middle before a page that is there, and goes on behind it', async () => {
    registered.uffd.fill(at(3), 7, PAGE);
    const source = new Uint8Array(6 * PAGE).fill(1);
    const short = registered.uffd.copy(at(0), source, 0, 6 * PAGE);
    expect(short).toEqual({ placedBytes: 3 * PAGE, errno: EAGAIN });
    expect(toPlaceOutcome(short)).toBe('retry');
    expect(registered.uffd.copy(at(3), source, 3 * PAGE, 3 * PAGE)).toEqual({
      placedBytes: 0,
      errno: EEXIST,
    });
    expect(registered.uffd.copy(at(4), source, 4 * PAGE, 2 * PAGE)).toEqual({
      placedBytes: 2 * PAGE,
      errno: 0,
    });
    expect(await guestReads(3)).toBe(7);
    expect(await guestReads(5)).toBe(1);
  });

  it('places zero pages, and pages of any one value, over more than one chunk', async () => {
    expect(registered.uffd.zeropage(at(0), 2 * PAGE)).toEqual({ placedBytes: 2 * PAGE, errno: 0 });
    const length = (PAGES - 2) * PAGE;
    expect(registered.uffd.fill(at(2), 0xc3, length)).toEqual({ placedBytes: length, errno: 0 });
    expect(await guestReads(1)).toBe(0);
    expect(await guestReads(2)).toBe(0xc3);
    expect(await guestReads(PAGES - 1)).toBe(0xc3);
  });

  it('counts what a fill has placed before it met a page that is there', () => {
    registered.uffd.fill(at(600), 1, PAGE); // in the second chunk of 2 MiB
    const result = registered.uffd.fill(at(10), 2, 800 * PAGE);
    expect(result).toEqual({ placedBytes: 590 * PAGE, errno: EAGAIN });
  });

  it('changes the value between fills', async () => {
    registered.uffd.fill(at(0), 5, 4 * PAGE);
    registered.uffd.fill(at(4), 6, PAGE);
    registered.uffd.fill(at(5), 5, 8 * PAGE);
    expect(await guestReads(4)).toBe(6);
    expect(await guestReads(12)).toBe(5);
  });

  it('says EAGAIN while a REMOVE event is unread, and places after it was drained', async () => {
    const { uffd, guest } = registered;
    uffd.fill(at(0), 1, 8 * PAGE);
    guest.send('remove 0 2 3');
    await until(() => uffd.fill(at(0), 1, PAGE).errno === EAGAIN); // EEXIST before
    expect(uffd.fill(at(20), 1, PAGE)).toEqual({ placedBytes: 0, errno: EAGAIN });
    const removed: bigint[] = [];
    uffd.startEvents(
      4,
      (events) => removed.push(...events.subarray(0, 4)),
      (error) => {
        throw error;
      },
    );
    expect(uffd.drainEvents()).toBe(1);
    expect(removed).toEqual([0x15n, at(2), at(5), 0n]);
    await guest.answer('removed');
    expect(uffd.drainEvents()).toBe(0);
    expect(uffd.fill(at(20), 1, PAGE)).toEqual({ placedBytes: PAGE, errno: 0 });
    expect(uffd.fill(at(2), 9, 3 * PAGE)).toEqual({ placedBytes: 3 * PAGE, errno: 0 });
  });

  it('says ENOENT for memory that was unmapped or never registered', async () => {
    expect(toPlaceOutcome(registered.uffd.fill(0x1000n, 1, PAGE))).toBe('gone');
    await registered.guest.ask('unmap 0', 'unmapped');
    const result = registered.uffd.fill(at(0), 1, PAGE);
    expect(result).toEqual({ placedBytes: 0, errno: ENOENT });
  });

  it('says ESRCH when the process has exited', async () => {
    await registered.guest.stop();
    const result = registered.uffd.copy(at(0), new Uint8Array(PAGE), 0, PAGE);
    expect(result).toEqual({ placedBytes: 0, errno: ESRCH });
    expect(toPlaceOutcome(result)).toBe('gone');
    expect(registered.uffd.zeropage(at(0), PAGE).errno).toBe(ESRCH);
    expect(registered.uffd.fill(at(0), 1, PAGE).errno).toBe(ESRCH);
  });

  it('wakes a waiting reader with zeros when the range is unregistered', async () => {
    const events = new EventQueue(registered.uffd);
    registered.guest.send('read 0 9');
    await events.next();
    expect(registered.guest.hasAnswered('value')).toBe(false);
    registered.uffd.unregister(registered.base, registered.sizeBytes);
    expect(await registered.guest.answer('value')).toEqual(['0']);
  });

  it('wakes a reader whose page is there already', async () => {
    const events = new EventQueue(registered.uffd);
    registered.guest.send('read 0 9');
    await events.next();
    // Woken with nothing placed, the reader faults again.
    registered.uffd.wake(at(9), PAGE);
    expect((await events.next()).address).toBe(at(9));
    registered.uffd.fill(at(9), 4, PAGE);
    expect(await registered.guest.answer('value')).toEqual(['4']);
  });

  it('throws with the call and its numbers when registering fails', () => {
    expect(() => registered.uffd.register(0x1000n, PAGE)).toThrow(
      expect.objectContaining({
        name: 'NativeError',
        code: 'ERR_UMEM_NATIVE',
        syscall: 'UFFDIO_REGISTER',
        errno: constants.errno.EINVAL,
        errnoName: 'EINVAL',
        message: 'UFFDIO_REGISTER of 4096 bytes at 0x1000 failed: invalid argument (EINVAL)',
      }),
    );
  });
});

describe('toPlaceOutcome', () => {
  it('throws for an errno that says nothing about a page', () => {
    expect(() => toPlaceOutcome({ placedBytes: 0, errno: constants.errno.EFAULT })).toThrow('EFAULT');
  });
});
