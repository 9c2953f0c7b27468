import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_KIND, native, UFFD_FEATURE } from '../ts/index.js';
import { startRegisteredGuest, type RegisteredGuest } from './kit/guest.js';
import { EventQueue, toEvents, type Event } from './kit/events.js';

const PAGE = 4096;

describe('userfaultfd events', () => {
  let registered: RegisteredGuest;
  const at = (page: number) => registered.base + BigInt(page * PAGE);
  const fail = (error: Error) => {
    throw error;
  };

  beforeEach(async () => {
    registered = await startRegisteredGuest(64, UFFD_FEATURE.eventRemove | UFFD_FEATURE.threadId);
  });
  afterEach(async () => {
    registered.uffd.close();
    await registered.guest.stop();
  });

  it('tell the address and the thread of a fault', async () => {
    const events = new EventQueue(registered.uffd);
    registered.guest.send('read 0 5');
    const [threadId] = await registered.guest.answer('reading');
    const event = await events.next();
    expect(event).toEqual({
      kind: EVENT_KIND.pagefault,
      address: at(5),
      second: 0n,
      threadId: Number(threadId),
    });
    registered.uffd.fill(at(5), 42, PAGE);
    expect(await registered.guest.answer('value')).toEqual(['42']);
  });

  it('tell the range that was removed', async () => {
    registered.uffd.fill(at(0), 1, 16 * PAGE);
    const events = new EventQueue(registered.uffd);
    registered.guest.send('remove 0 4 8');
    expect(await events.next()).toEqual({
      kind: EVENT_KIND.remove,
      address: at(4),
      second: at(12),
      threadId: 0,
    });
    await registered.guest.answer('removed');
  });

  it('come in batches no larger than asked for, and none is lost', async () => {
    const addresses = new Set<bigint>();
    const done = new Promise<void>((resolve) => {
      registered.uffd.startEvents(
        2,
        (batch, count) => {
          expect(batch.length).toBe(8);
          expect(count).toBeLessThanOrEqual(2);
          for (const event of toEvents(batch, count)) addresses.add(event.address);
          if (addresses.size === 20) resolve();
        },
        fail,
      );
    });
    for (let page = 0; page < 20; page++) registered.guest.send(`read 0 ${page}`);
    await done;
    registered.uffd.fill(at(0), 3, 20 * PAGE);
    for (let page = 0; page < 20; page++) expect(await registered.guest.answer('value')).toEqual(['3']);
  });

  it('stay in the kernel while nobody reads them', async () => {
    registered.guest.send('read 0 1');
    await registered.guest.answer('reading');
    const first = new EventQueue(registered.uffd);
    expect((await first.next()).address).toBe(at(1));
    registered.uffd.stopEvents();
    registered.guest.send('read 0 2');
    await registered.guest.answer('reading');
    const second = new EventQueue(registered.uffd);
    expect((await second.next()).address).toBe(at(2));
  });

  it('that are drained inside the callback leave the array of the caller alone', async () => {
    const seen: Event[] = [];
    const done = new Promise<void>((resolve) => {
      registered.uffd.startEvents(
        1,
        (batch, count) => {
          const before = [...batch];
          if (seen.length === 0) {
            seen.push(...toEvents(batch, count));
            // More faults wait by now or come soon; each drain is a nested call of this function.
            while (seen.length < 4) registered.uffd.drainEvents();
            expect([...batch]).toEqual(before);
            resolve();
          } else {
            seen.push(...toEvents(batch, count));
          }
        },
        fail,
      );
    });
    for (let page = 0; page < 4; page++) registered.guest.send(`read 0 ${page}`);
    await done;
    expect(new Set(seen.map((event) => event.address)).size).toBe(4);
    registered.uffd.fill(at(0), 3, 4 * PAGE);
  });

  it('that are drained give what the callback throws to the caller', async () => {
    const { uffd, guest } = registered;
    uffd.startEvents(
      4,
      () => {
        throw new Error('from the callback');
      },
      fail,
    );
    guest.send('read 0 1');
    // Busy on purpose: the event loop must not come first.
    let thrown: unknown = null;
    while (thrown === null) {
      try {
        uffd.drainEvents();
      } catch (error) {
        thrown = error;
      }
    }
    expect(thrown).toEqual(new Error('from the callback'));
  });

  it('survive an array that was taken away', async () => {
    const events: Event[] = [];
    let wanted: (() => void) | null = null;
    registered.uffd.startEvents(
      4,
      (batch, count) => {
        events.push(...toEvents(batch, count));
        if (batch.buffer instanceof ArrayBuffer) structuredClone(batch.buffer, { transfer: [batch.buffer] });
        expect(batch.length).toBe(0);
        wanted?.();
      },
      fail,
    );
    for (const page of [1, 2, 3]) {
      const arrived = new Promise<void>((resolve) => (wanted = resolve));
      registered.guest.send(`read 0 ${page}`);
      await arrived;
    }
    expect(events.map((event) => event.address)).toEqual([at(1), at(2), at(3)]);
  });

  it('end when the callback closes the descriptor', async () => {
    const calls: number[] = [];
    const closed = new Promise<void>((resolve) => {
      registered.uffd.startEvents(
        1,
        (_batch, count) => {
          calls.push(count);
          registered.uffd.close();
          registered.uffd.close();
          resolve();
        },
        fail,
      );
    });
    for (let page = 0; page < 3; page++) registered.guest.send(`read 0 ${page}`);
    await closed;
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toEqual([1]);
    expect(() => registered.uffd.drainEvents()).toThrow('closed');
  });

  it('can be started once at a time', () => {
    registered.uffd.startEvents(1, () => undefined, fail);
    expect(() => registered.uffd.startEvents(1, () => undefined, fail)).toThrow('already');
    registered.uffd.stopEvents();
    registered.uffd.stopEvents();
    expect(() => registered.uffd.drainEvents()).toThrow('startEvents');
    registered.uffd.startEvents(1, () => undefined, fail);
  });
});

describe('userfaultfd events of a process that changes its mappings', () => {
  const features = UFFD_FEATURE.eventFork | UFFD_FEATURE.eventRemap | UFFD_FEATURE.eventUnmap;

  it('tell where memory moved to and how much of it, and bring the descriptor of a child', async () => {
    const { guest, uffd, base, sizeBytes } = await startRegisteredGuest(16, features);
    const events = new EventQueue(uffd);
    guest.send('move 0');
    const moved = await events.next();
    const [address] = await guest.answer('moved');
    expect(moved).toEqual({
      kind: EVENT_KIND.remap,
      address: base,
      second: BigInt(address ?? 0),
      threadId: sizeBytes,
    });
    // The kernel tells that the old place was unmapped, too.
    expect(await events.next()).toMatchObject({ kind: EVENT_KIND.unmap, address: base });
    guest.send('fork');
    const forked = await events.next();
    expect(forked.kind).toBe(EVENT_KIND.fork);
    await guest.answer('forked');
    native.adoptUserfaultfd(Number(forked.address)).close();
    uffd.close();
    await guest.stop();
  });

  it('are left in the kernel by who only watches for them, until they are drained', async () => {
    const { guest, uffd, base } = await startRegisteredGuest(16, features);
    const seen: bigint[] = [];
    let readable = 0;
    const drained = new Promise<void>((resolve) =>
      uffd.watchEvents(
        4,
        () => {
          if (++readable < 3) return;
          expect(seen).toEqual([]);
          expect(uffd.drainEvents()).toBe(1);
          resolve();
        },
        (batch) => seen.push(batch[1] ?? 0n),
        (error) => {
          throw error;
        },
      ),
    );
    guest.send('read 0 2');
    await drained;
    expect(seen).toEqual([base + 2n * BigInt(PAGE)]);
    uffd.close();
    await guest.stop();
  });
});
