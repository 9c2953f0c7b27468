import { crc32 } from 'node:zlib';
import { status as Status } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { pageKey } from '../source/lane.js';
import type { PlayedSet } from './played-set.js';
import type { UmemdContext } from './umemd-context.js';
import { FEATURES, type Vmm } from './vmm.js';

const CACHE = 'ram.proto, PLACEMENT_CACHE';
const ZEROS = crc32(Buffer.alloc(4096));

/** A set with placement CACHE that is armed with two processes on its RAM files. */
async function armTwo(set: PlayedSet): Promise<Vmm> {
  await set.park();
  const other = await set.startOther();
  await set.handOverOther(other);
  await set.arm();
  return other;
}

export const cacheRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/cache/placement',
    title: 'A placement that does not exist is refused with INVALID_ARGUMENT',
    from: 'umemd.proto, CreateUmemRequest.placement; protocol.md, Compatibility: unknown enum values',
    async run(context) {
      const set = await context.set();
      const request = { name: set.name, blocks: set.ram.messages, placement: 7 };
      await checkRefused(
        'Placement 7',
        context.client.call('Umemd', 'CreateUmem', request),
        Status.INVALID_ARGUMENT,
      );
    },
  },
  {
    id: 'umemd/cache/two-processes',
    title:
      'With CACHE a page that two processes wait for is asked for once, and one placing wakes both; each reads all of the RAM, and what the other writes',
    from: `${CACHE}: for several processes on one RAM file`,
    async run(context) {
      const set = await context.set({ placement: 'PLACEMENT_CACHE' });
      set.source.answersDemand = false;
      const other = await armTwo(set);
      const { demand, background } = await set.lanes(1);
      const reads = [set.touch('ram0', 50), set.touch('ram0', 50, other)];
      await set.vmm.untilWaiting(1);
      await other.untilWaiting(1);
      await demand.until('the page to be demanded', () => demand.demanded.length > 0);
      await background[0]?.pages('ram0', [50]);
      await Promise.all(reads);
      checkSameList('pages demanded', demand.demanded, ['ram0:50']);
      set.source.answersDemand = true;
      await Promise.all([set.touch('ram1', 8), set.touch('ram1', 9, other)]);
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await set.checkMemory();
      await set.checkMemory(new Set(), other);
      const { stats } = await set.get();
      checkSame('faults', Number(stats?.faults) >= 4, true);
      const { demand_pages: demanded, background_pages: pushed } = stats ?? {};
      checkSame('pages placed', Number(demanded) + Number(pushed), 512 + 253);
      await other.write('ram0', 50, 7);
      checkSame('what the other has written', await set.vmm.read('ram0', 50), crc32(Buffer.alloc(4096, 7)));
    },
  },
  {
    id: 'umemd/cache/placed-in-the-file',
    title: 'With CACHE a page that nobody waits for is in the RAM file when it is placed, for all who map it',
    from: CACHE,
    async run(context) {
      const set = await context.set({ placement: 'PLACEMENT_CACHE' });
      const { demand, background } = await set.armed();
      await background[0]?.pages('ram0', [10, 11, 14]);
      await set.untilStats('the pages to be placed', ({ background_pages: pages }) => pages === '3');
      for (const pgoff of [10, 11, 14])
        check(
          (await set.stored('ram0', pgoff)).equals(set.ram.page('ram0', pgoff)),
          `Page ${pgoff} is wrong`,
        );
      for (const pgoff of [10, 11, 14]) await set.touch('ram0', pgoff);
      checkSame('pages demanded', demand.demanded.length, 0);
    },
  },
  {
    id: 'umemd/cache/late-process',
    title:
      'With CACHE a process may hand over while the guest runs, and one may leave: the others are served',
    from: CACHE,
    async run(context) {
      const set = await context.set({ placement: 'PLACEMENT_CACHE' });
      const { background } = await set.armed();
      await set.touch('ram0', 1);
      const late = await set.startOther();
      await set.handOverOther(late);
      await set.touch('ram0', 2, late);
      await set.touch('ram0', 1, late);
      const third = await set.startOther();
      await set.handOverOther(third);
      await third.kill();
      await set.touch('ram0', 3, late);
      await set.touch('ram0', 4);
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await set.checkMemory();
      await set.checkMemory(new Set(), late);
    },
  },
  {
    id: 'umemd/cache/removed',
    title: 'With CACHE pages that one process gives up are zeros for all of them, and never filled',
    from: `${CACHE}; page_source.proto, UmemRequest.remove`,
    async run(context) {
      const set = await context.set({ placement: 'PLACEMENT_CACHE' });
      const other = await armTwo(set);
      const { demand, background } = await set.lanes(1);
      await set.touch('ram0', 30);
      await other.remove('ram0', 30, 4);
      await demand.until('REMOVE', () => demand.removed.length >= 3);
      checkSameList('pages removed', [...demand.removed].sort(), ['ram0:31', 'ram0:32', 'ram0:33']);
      await background[0]?.pages('ram0', [29, 30, 31, 32, 33, 34]);
      await set.touch('ram0', 34, other);
      for (const vmm of [set.vmm, other])
        for (const pgoff of [30, 32]) checkSame('a removed page', await vmm.read('ram0', pgoff), ZEROS);
      const removed = new Set([30, 31, 32, 33].map((pgoff) => pageKey('ram0', pgoff)));
      if (background[0] !== undefined) await set.push(background[0], removed);
      await set.release();
      await set.checkMemory(removed);
      await set.checkMemory(removed, other);
    },
  },
  {
    id: 'umemd/cache/file',
    title:
      'With CACHE a handoff without the RAM file is refused, and so is one of another file; the right one is taken after that',
    from: `${CACHE}: the shared RAM file; protocol.md, The handoff`,
    async run(context) {
      const set = await context.set({ placement: 'PLACEMENT_CACHE', sizes: { ram0: 512 } });
      await set.create();
      const vmm = await set.startVmm();
      const region = { ...vmm.region('ram0'), ram_block: 'ram0' };
      checkSame('answer without the file', await vmm.send(set.socket, [region], ['uffd:ram0']), 'CLOSED');
      checkSame('answer to a good handoff', await set.handOver('ram0'), 'READY');
      const stranger = await context.set({ placement: 'PLACEMENT_CACHE', sizes: { ram0: 512 } });
      await stranger.create();
      const strange = await stranger.startVmm();
      checkSame('answer to another file', await set.handOver('ram0', strange), 'CLOSED');
      checkSame('state', (await set.get()).state, 'UMEM_STATE_HANDED_OFF');
    },
  },
  {
    id: 'umemd/cache/anonymous',
    title: 'With CACHE a VMM with anonymous memory is refused: there is no file to place into',
    from: CACHE,
    async run(context) {
      const set = await context.set({ placement: 'PLACEMENT_CACHE', sizes: { ram0: 64 } });
      await set.create();
      const vmm = await set.startVmm();
      await vmm.mapAnonymous('anonymous', 64 * 4096);
      await vmm.register('anonymous', ['anonymous'], FEATURES.firecracker);
      const region = vmm.region('anonymous');
      checkSame('answer', await vmm.send(set.socket, [region], ['uffd:anonymous']), 'CLOSED');
      checkSame('state', (await set.get()).state, 'UMEM_STATE_AWAITING_HANDOFF');
    },
  },
  {
    id: 'umemd/cache/all-processes-gone',
    title: 'With CACHE a set whose processes have all gone fails, and can be deleted',
    from: 'umemd.proto, UMEM_STATE_FAILED and DeleteUmem',
    async run(context) {
      const set = await context.set({ placement: 'PLACEMENT_CACHE' });
      const other = await armTwo(set);
      await set.vmm.kill();
      await set.touch('ram0', 5, other);
      checkSame('state', (await set.get()).state, 'UMEM_STATE_ARMED');
      await other.kill();
      await set.until('UMEM_STATE_FAILED');
      // Nobody is left who could read zeros.
      await set.delete();
    },
  },
];
