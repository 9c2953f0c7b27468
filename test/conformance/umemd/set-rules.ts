import { stat } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { status as Status, type ServiceError } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { checkErrorDetails } from '../wire/error-details.js';
import type { RamBlockMessage, UmemMessage } from '../wire/messages.js';
import type { UmemdContext } from './umemd-context.js';

const { ALREADY_EXISTS, FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND } = Status;

const GOOD: RamBlockMessage = { block_id: 'ram0', size_bytes: '1048576', host_page_size_bytes: '4096' };

/** Block lists and names that make no sense. */
const BAD_SETS: Readonly<
  Record<string, { readonly name?: string; readonly blocks?: readonly RamBlockMessage[] }>
> = {
  'no block': { blocks: [] },
  'a block of no bytes': { blocks: [{ ...GOOD, size_bytes: '0' }] },
  'a block of half a page': { blocks: [{ ...GOOD, size_bytes: '6144' }] },
  'two blocks of one id': { blocks: [GOOD, GOOD] },
  'a block id with a slash': { blocks: [{ ...GOOD, block_id: '../ram0' }] },
  'a block without id': { blocks: [{ ...GOOD, block_id: '' }] },
  'a block of more than 2^32 pages': { blocks: [{ ...GOOD, size_bytes: String(2n ** 45n) }] },
  'no name': { name: '' },
  'a name with a slash': { name: 'a/b' },
  'a name of 64 letters': { name: 'a'.repeat(64) },
};

export const setRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/set/create',
    title: 'CreateUmem opens a handoff socket that only its owner may use, and waits',
    from: 'umemd.proto, CreateUmem; DESIGN §8: handoff sockets are 0600',
    async run(context) {
      const set = await context.set();
      const umem = await set.create();
      checkSame('state', umem.state, 'UMEM_STATE_AWAITING_HANDOFF');
      const socket = await stat(umem.handoff_socket_path);
      check(socket.isSocket(), `${umem.handoff_socket_path} is no socket`);
      checkSame('mode of the socket', socket.mode & 0o777, 0o600);
      checkSame('pages in all', umem.stats?.total_pages ?? '', String(512 + 253));
      checkSame('pages missing', umem.stats?.remaining_pages ?? '', String(512 + 253));
    },
  },
  {
    id: 'umemd/set/one-per-name',
    title: 'A name that is taken is refused with ALREADY_EXISTS',
    from: 'umemd.proto, CreateUmem: one set per name',
    async run(context) {
      const set = await context.set();
      await set.create();
      const again = context.client.call('Umemd', 'CreateUmem', { name: set.name, blocks: set.ram.messages });
      await checkRefused('A second set of the name', again, ALREADY_EXISTS);
    },
  },
  {
    id: 'umemd/set/invalid',
    title: 'Names and blocks that make no sense are refused with INVALID_ARGUMENT',
    from: 'umemd.proto, CreateUmemRequest; ram.proto, RamBlock',
    async run(context) {
      for (const [what, { name, blocks }] of Object.entries(BAD_SETS)) {
        const request = { name: name ?? 'conformance-bad', blocks: blocks ?? [GOOD] };
        await checkRefused(what, context.client.call('Umemd', 'CreateUmem', request), INVALID_ARGUMENT);
      }
    },
  },
  {
    id: 'umemd/set/unknown',
    title: 'Every call for a set that does not exist is answered NOT_FOUND',
    from: 'umemd.proto, Umemd',
    async run(context) {
      const set = await context.set();
      await set.source.start();
      await checkRefused('GetUmem', set.get(), NOT_FOUND);
      await checkRefused('ConnectUmem', set.connect(), NOT_FOUND);
      await checkRefused('DeleteUmem', set.delete(), NOT_FOUND);
      await checkRefused('WatchUmem', set.until('UMEM_STATE_ARMED'), NOT_FOUND);
      const { code } = await set.attach().ended;
      checkSame('status of Control', Status[code], 'NOT_FOUND');
    },
  },
  {
    id: 'umemd/set/error-details',
    title: 'Statuses of calls and of Control carry google.rpc.Status with ErrorInfo of domain "umem"',
    from: 'protocol.md, What goes wrong, and how; error_details.proto',
    async run(context) {
      const set = await context.set();
      const error: unknown = await set.get().catch((reason: unknown) => reason);
      checkErrorDetails('GetUmem of an unknown set', (error as ServiceError).metadata);
      const { metadata } = await set.attach().ended;
      checkErrorDetails('Control of an unknown set', metadata);
    },
  },
  {
    id: 'umemd/set/list',
    title: 'ListUmems has all sets, ordered by name',
    from: 'umemd.proto, ListUmemsResponse',
    async run(context) {
      const sets = [await context.set(), await context.set(), await context.set()];
      for (const set of [...sets].reverse()) await set.create();
      const { umems } = await context.client.call<{ umems: UmemMessage[] }>('Umemd', 'ListUmems', {});
      const names = umems.map(({ name }) => name);
      checkSameList('names', names, [...names].sort());
      for (const { name } of sets) check(names.includes(name), `${name} is not in the list`);
    },
  },
  {
    id: 'umemd/set/watch',
    title:
      'WatchUmem answers at once, tells changes, and ends with the set; an interval out of range is refused',
    from: 'umemd.proto, WatchUmem',
    async run(context) {
      const set = await context.set();
      await set.create();
      for (const interval of [49, 60_001]) {
        const stream = context.client.watch('Umemd', 'WatchUmem', { name: set.name, interval_ms: interval });
        const answer = new Promise((resolve, reject) => stream.on('data', resolve).on('error', reject));
        await checkRefused(`An interval of ${interval} ms`, answer, INVALID_ARGUMENT);
      }
      const states: string[] = [];
      const stream = context.client.watch<UmemMessage>('Umemd', 'WatchUmem', {
        name: set.name,
        interval_ms: 60_000,
      });
      stream.on('data', ({ state }: UmemMessage) => states.push(state));
      // How a stream of a deleted set ends is not said.
      const ended = new Promise<void>((resolve) => stream.on('end', resolve).on('error', () => resolve()));
      await set.handOverAll();
      await set.until('UMEM_STATE_HANDED_OFF');
      await set.delete();
      await ended;
      checkSameList('states that were told', [...new Set(states)].slice(0, 2), [
        'UMEM_STATE_AWAITING_HANDOFF',
        'UMEM_STATE_HANDED_OFF',
      ]);
    },
  },
  {
    id: 'umemd/delete/before-armed',
    title: 'A set that is not armed can be deleted; deleting it twice is NOT_FOUND, and its name is free',
    from: 'umemd.proto, DeleteUmem',
    async run(context) {
      const set = await context.set();
      await set.park();
      await set.delete();
      await checkRefused('The second DeleteUmem', set.delete(), NOT_FOUND);
      await set.client.call('Umemd', 'CreateUmem', { name: set.name, blocks: set.ram.messages });
    },
  },
  {
    id: 'umemd/delete/armed',
    title: 'A set whose guest may run with pages missing is not deleted unless the VMM side vouches for it',
    from: 'umemd.proto, DeleteUmem: guest_never_ran',
    async run(context) {
      const set = await context.set();
      await set.armed();
      const words = await checkRefused('DeleteUmem', set.delete(), FAILED_PRECONDITION);
      check(
        words.includes(String(512 + 253)),
        `The refusal does not say how many pages are missing: ${words}`,
      );
      await set.touch('ram0', 7);
      await set.delete(true);
      await checkRefused('GetUmem', set.get(), NOT_FOUND);
    },
  },
  {
    id: 'umemd/delete/detached',
    title: 'Nor is a set whose lanes are lost',
    from: 'umemd.proto, DeleteUmem',
    async run(context) {
      const set = await context.set();
      await set.armed();
      set.source.kill();
      await set.until('UMEM_STATE_DETACHED', 'UMEM_STATE_RECOVERING');
      await checkRefused('DeleteUmem', set.delete(), FAILED_PRECONDITION);
    },
  },
  {
    id: 'umemd/delete/unregisters',
    title: 'Deleting unregisters the memory: who waits for a page runs on and reads zeros',
    from: 'umemd.proto, DeleteUmem: missing pages then read as zeros',
    async run(context) {
      const set = await context.set();
      await set.park();
      const read = set.vmm.read('ram0', 3);
      await set.vmm.untilWaiting(1);
      await set.delete(true);
      checkSame('CRC of the page', await read, crc32(Buffer.alloc(4096)));
    },
  },
];
