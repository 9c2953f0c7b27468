import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { check, checkSame, NotApplicable, type Rule } from '../rule.js';
import { PAGE_BYTES } from '../wire/read-batch.js';
import type { PlayedSet } from './played-set.js';
import type { UmemdContext } from './umemd-context.js';
import { FEATURES, type Region } from './vmm.js';

const HANDOFF = 'DESIGN §4.3';

/** One block in as many regions, anonymous memory and one userfaultfd for all: what Firecracker's VMM does. */
async function handOverLikeFirecracker(
  set: PlayedSet,
  regions: number,
  pieceBytes: number,
): Promise<readonly string[]> {
  const [[blockId, ram] = ['', Buffer.of()]] = [...set.ram.blocks];
  const bytes = ram.length / regions;
  check(Number.isInteger(bytes / PAGE_BYTES), `${blockId} does not divide into ${regions} regions`);
  const vmm = await set.startVmm();
  const ids = Array.from({ length: regions }, (_, index) => `part${index}`);
  for (const id of ids) await vmm.mapAnonymous(id, bytes);
  await vmm.register('all', ids, FEATURES.firecracker);
  const message = ids.map((id, index) => vmm.region(id, index * bytes));
  checkSame(
    'answer to a Firecracker message',
    await vmm.send(set.socket, message, ['uffd:all'], pieceBytes),
    'CLOSED',
  );
  return ids;
}

interface Hostile {
  readonly what: string;
  /** From a good region of ram0: a message and its descriptors. */
  readonly make: (region: Region & { readonly ram_block: string }) => readonly [unknown, readonly string[]];
}

const GOOD_FDS = ['uffd:ram0', 'file:ram0'];

const HOSTILE: readonly Hostile[] = [
  { what: 'no descriptor', make: (region) => [[region], []] },
  { what: 'a pipe in the place of the userfaultfd', make: (region) => [[region], ['pipe']] },
  {
    what: 'the RAM file in the place of the userfaultfd',
    make: (region) => [[region], ['file:ram0', 'uffd:ram0']],
  },
  { what: 'more descriptors than two', make: (region) => [[region], [...GOOD_FDS, 'pipe']] },
  { what: 'no JSON', make: () => ['[nonsense]', GOOD_FDS] },
  { what: 'JSON that is no array', make: () => ['{"a":1}', GOOD_FDS] },
  { what: 'an array of no region', make: () => [[], GOOD_FDS] },
  { what: 'something behind the array', make: (region) => [`${JSON.stringify([region])}x`, GOOD_FDS] },
  { what: 'an unknown block', make: (region) => [[{ ...region, ram_block: 'no-such-block' }], GOOD_FDS] },
  { what: 'an unaligned address', make: (region) => [[{ ...region, base_host_virt_addr: 4097 }], GOOD_FDS] },
  { what: 'an unaligned size', make: (region) => [[{ ...region, size: 5000 }], GOOD_FDS] },
  { what: 'a size of zero', make: (region) => [[{ ...region, size: 0 }], GOOD_FDS] },
  { what: 'a negative size', make: (region) => [[{ ...region, size: -4096 }], GOOD_FDS] },
  {
    what: 'a region past the end of its block',
    make: (region) => [[{ ...region, offset: PAGE_BYTES }], GOOD_FDS],
  },
  { what: 'one region twice', make: (region) => [[region, region], GOOD_FDS] },
  {
    what: 'regions that overlap in memory',
    make: (region) => [
      [
        { ...region, size: region.size / 2 },
        {
          ...region,
          size: region.size / 2,
          offset: region.size / 2,
          base_host_virt_addr: region.base_host_virt_addr + PAGE_BYTES,
        },
      ],
      GOOD_FDS,
    ],
  },
  { what: 'an address as text', make: (region) => [[{ ...region, base_host_virt_addr: '1000' }], GOOD_FDS] },
  { what: 'a number beyond 2^53', make: (region) => [[{ ...region, size: 2 ** 60 }], GOOD_FDS] },
  {
    what: '900 KiB of JSON',
    make: (region) => [`[${JSON.stringify(region)},"${'x'.repeat(900 << 10)}"]`, GOOD_FDS],
  },
  { what: 'brackets without end', make: () => ['['.repeat(1 << 18), GOOD_FDS] },
];

export const handoffRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/handoff/preload',
    title: 'A VMM under the preload library hands over while it maps its RAM, and is answered READY',
    from: 'DESIGN §4.4',
    async run(context) {
      const set = await context.set({ handoff: 'preload' });
      const { demand } = await set.armed();
      await set.touch('ram0', 9);
      await set.touch('ram1', 252);
      await set.push(demand);
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/handoff/any-order',
    title: 'Blocks are handed over in any order; HANDED_OFF is told when all are there',
    from: `${HANDOFF}; umemd.proto, UMEM_STATE_HANDED_OFF`,
    async run(context) {
      const set = await context.set();
      await set.create();
      await set.connect();
      await set.startVmm();
      checkSame('answer to the second block', await set.handOver('ram1'), 'READY');
      checkSame('state', (await set.get()).state, 'UMEM_STATE_AWAITING_HANDOFF');
      checkSame('answer to the first block', await set.handOver('ram0'), 'READY');
      await set.until('UMEM_STATE_HANDED_OFF');
    },
  },
  {
    id: 'umemd/handoff/in-parts',
    title: 'One block may be handed over in two mappings with a userfaultfd each',
    from: HANDOFF,
    async run(context) {
      const set = await context.set({ sizes: { ram0: 512 }, backgroundLanes: 0 });
      await set.create();
      await set.connect();
      set.attach();
      const vmm = await set.startVmm();
      const half = 256 * PAGE_BYTES;
      for (const [id, offset] of [
        ['high', half],
        ['low', 0],
      ] as const) {
        await vmm.mapAnonymous(id, half);
        await vmm.register(id, [id], FEATURES.firecracker);
        const region = { ...vmm.region(id, offset), ram_block: 'ram0', pid: vmm.pid, uffd: 5 };
        checkSame(`answer to the ${id} half`, await vmm.send(set.socket, [region], [`uffd:${id}`]), 'READY');
      }
      await set.arm();
      checkSame('a page of the low half', await vmm.read('low', 255), set.ram.crc('ram0', 255));
      checkSame('a page of the high half', await vmm.read('high', 0), set.ram.crc('ram0', 256));
    },
  },
  {
    id: 'umemd/handoff/firecracker',
    title:
      'A Firecracker message is taken: anonymous memory, one descriptor, sixteen regions, no field of ours; it is filled to the last byte',
    from: `${HANDOFF}: compatible with Firecracker`,
    async run(context) {
      const set = await context.set({ sizes: { ram0: 512 } });
      await set.create();
      await set.connect();
      set.attach();
      const ids = await handOverLikeFirecracker(set, 16, 0);
      await set.control.ready('UMEM_STATE_HANDED_OFF');
      await set.arm();
      const { background } = await set.lanes(1);
      checkSame('a page that is touched', await set.vmm.read('part3', 5), set.ram.crc('ram0', 3 * 32 + 5));
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      const seen = await Promise.all(ids.map((id) => set.vmm.dump(id, join(set.dir, `${id}.seen`))));
      check(
        Buffer.concat(seen).equals(set.ram.blocks.get('ram0') ?? Buffer.of()),
        'The guest reads other bytes than the source has',
      );
    },
  },
  {
    id: 'umemd/handoff/in-pieces',
    title: 'A message that arrives in pieces is one message',
    from: `${HANDOFF}; FIELD §3.4: read until the JSON is complete`,
    async run(context) {
      const set = await context.set({ sizes: { ram0: 512 } });
      await set.create();
      await set.connect();
      set.attach();
      await handOverLikeFirecracker(set, 16, 100);
      await set.control.ready('UMEM_STATE_HANDED_OFF');
    },
  },
  ...HOSTILE.map(({ what, make }): Rule<UmemdContext> => ({
    id: `umemd/handoff/hostile-${what.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase()}`,
    title: `A handoff with ${what} is refused; a good one after it is taken`,
    from: HANDOFF,
    async run(context) {
      const set = await context.set({ sizes: { ram0: 512 } });
      await set.create();
      const vmm = await set.startVmm();
      const [message, fds] = make({ ...vmm.region('ram0'), ram_block: 'ram0' });
      checkSame('answer', await vmm.send(set.socket, message, fds), 'CLOSED');
      checkSame('state', (await set.get()).state, 'UMEM_STATE_AWAITING_HANDOFF');
      checkSame('answer to a good handoff', await set.handOver('ram0'), 'READY');
      await set.until('UMEM_STATE_HANDED_OFF');
      await context.checkUndisturbed();
    },
  })),
  {
    id: 'umemd/handoff/again',
    title: 'A block that was handed over is not taken again, nor anything when all is there',
    from: HANDOFF,
    async run(context) {
      const set = await context.set();
      await set.create();
      await set.startVmm();
      checkSame('answer', await set.handOver('ram0'), 'READY');
      checkSame('answer to the block again', await set.handOver('ram0'), 'CLOSED');
      checkSame('answer to the other block', await set.handOver('ram1'), 'READY');
      await set.until('UMEM_STATE_HANDED_OFF');
    },
  },
  {
    id: 'umemd/handoff/silent',
    title:
      'VMMs that connect and stay silent keep nobody from handing over, and are closed within a bounded time',
    from: `${HANDOFF}; DESIGN §8`,
    async run(context) {
      const set = await context.set();
      await set.create();
      const silent = Array.from({ length: 8 }, () => connect(set.socket));
      await Promise.all(silent.map((socket) => once(socket, 'connect')));
      silent[0]?.write('[{"base_host_virt_addr":');
      await set.handOverAll();
      await set.until('UMEM_STATE_HANDED_OFF');
      await Promise.all(silent.map((socket) => once(socket.resume(), 'close')));
      if (silent.length === 0) throw new NotApplicable('No silent VMM');
    },
  },
];
