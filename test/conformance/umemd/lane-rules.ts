import { setTimeout as delay } from 'node:timers/promises';
import { status as Status } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import type { UmemdContext } from './umemd-context.js';

const { FAILED_PRECONDITION, INVALID_ARGUMENT, UNAVAILABLE } = Status;
const INIT = 'page_source.proto, Init';

/** How long a call is watched that must not answer. */
const NOTHING_MS = 300;

export const laneRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/lanes/init',
    title:
      'INIT is the first message of each lane and says what the set is: migration, kind, page size, blocks, nothing received',
    from: INIT,
    async run(context) {
      const set = await context.set({ backgroundLanes: 2 });
      await set.create();
      await set.connect();
      const { demand, background } = await set.lanes(1);
      checkSameList(
        'lane kinds',
        [demand, ...background].map(({ init }) => init.lane_kind),
        ['LANE_KIND_DEMAND', 'LANE_KIND_BACKGROUND', 'LANE_KIND_BACKGROUND'],
      );
      for (const { init, token } of [demand, ...background]) {
        checkSame('umem-token', token, set.target.token);
        checkSame('migration_id', init.migration_id, set.target.migration_id);
        checkSame('target_page_size_bytes', init.target_page_size_bytes, 4096);
        const show = init.blocks.map(
          (block) => `${block.block_id} ${block.size_bytes} ${block.host_page_size_bytes}`,
        );
        checkSameList('blocks', show.sort(), ['ram0 2097152 4096', 'ram1 1036288 4096']);
        const bits = init.received.reduce(
          (sum, { bits: bytes }) => sum + bytes.filter((byte) => byte !== 0).length,
          0,
        );
        checkSame('received pages', bits, 0);
      }
    },
  },
  {
    id: 'umemd/lanes/generation',
    title: 'Lanes of one connection share one generation, the first being 1',
    from: `${INIT}.generation: from 1`,
    async run(context) {
      const set = await context.set({ backgroundLanes: 2 });
      await set.create();
      await set.connect();
      await set.lanes(1);
      checkSameList(
        'generations',
        set.source.lanes.map(({ init }) => init.generation),
        ['1', '1', '1'],
      );
    },
  },
  {
    id: 'umemd/lanes/no-background',
    title: 'Without background addresses there is a demand lane only',
    from: 'umemd.proto, LaneTarget.background_addresses',
    async run(context) {
      const set = await context.set({ backgroundLanes: 0 });
      await set.armed();
      await set.touch('ram0', 1);
      checkSame('lanes', set.source.lanes.length, 1);
    },
  },
  {
    id: 'umemd/lanes/own-connections',
    title: 'Each lane has an HTTP/2 connection of its own',
    from: 'DESIGN §3: lanes are separate HTTP/2 connections',
    async run(context) {
      const set = await context.set({ backgroundLanes: 2 });
      const peers = new Set<string>();
      set.source.verdict = ({ peer }) => {
        peers.add(peer);
        return 'accept';
      };
      await set.create();
      await set.connect();
      checkSame('connections', peers.size, 3);
    },
  },
  {
    id: 'umemd/lanes/all-accepted',
    title: 'ConnectUmem answers when every lane was accepted, not before',
    from: 'umemd.proto, ConnectUmem',
    async run(context) {
      const set = await context.set();
      set.source.verdict = ({ isDemand }) => (isDemand ? 'accept' : 'silence');
      await set.create();
      let isAnswered = false;
      const connecting = set.connect().finally(() => (isAnswered = true));
      connecting.catch(() => undefined);
      const silent = await set.source.silent();
      await delay(NOTHING_MS);
      check(!isAnswered, 'ConnectUmem was answered with one lane of two accepted');
      silent.accept();
      const umem = await connecting;
      check(umem.lanes_connected, 'lanes_connected is false');
      checkSame('migration_id', umem.migration_id, set.target.migration_id);
    },
  },
  {
    id: 'umemd/lanes/refused',
    title: 'The source’s refusal of any lane is answered FAILED_PRECONDITION with its words',
    from: 'umemd.proto, ConnectUmem',
    async run(context) {
      for (const isDemand of [true, false]) {
        const set = await context.set();
        set.source.verdict = (lane) =>
          lane.isDemand === isDemand
            ? { code: Status.PERMISSION_DENIED, details: 'Words of the source' }
            : 'accept';
        await set.create();
        const words = await checkRefused('ConnectUmem', set.connect(), FAILED_PRECONDITION);
        check(words.includes('Words of the source'), `The source's words are not in "${words}"`);
        check(!words.includes(set.target.token), 'The status contains the token');
        for (const lane of set.source.lanes)
          await lane.changes.until('the other lane to end', () => lane.isOver || null);
      }
    },
  },
  {
    id: 'umemd/lanes/unreachable',
    title: 'A source that cannot be reached is answered UNAVAILABLE',
    from: 'umemd.proto, ConnectUmem',
    async run(context) {
      const set = await context.set();
      await set.create();
      set.source.kill();
      await checkRefused('ConnectUmem', set.connect(), UNAVAILABLE);
    },
  },
  {
    id: 'umemd/lanes/once',
    title: 'ConnectUmem while connected is refused with FAILED_PRECONDITION and disturbs no lane',
    from: 'umemd.proto, ConnectUmem: once per set',
    async run(context) {
      const set = await context.set();
      await set.create();
      await set.connect();
      await checkRefused('The second ConnectUmem', set.connect(), FAILED_PRECONDITION);
      checkSame('lanes', set.source.lanes.filter(({ isOver }) => !isOver).length, 2);
    },
  },
  {
    id: 'umemd/lanes/target',
    title: 'A target without migration, token or address is refused with INVALID_ARGUMENT',
    from: 'umemd.proto, LaneTarget',
    async run(context) {
      const set = await context.set();
      await set.create();
      for (const changes of [
        { migration_id: '' },
        { token: '' },
        { demand_address: '' },
        { demand_address: 'nowhere' },
      ])
        await checkRefused(
          `A target with ${JSON.stringify(changes)}`,
          set.connect(changes),
          INVALID_ARGUMENT,
        );
      const nothing = context.client.call('Umemd', 'ConnectUmem', { name: set.name });
      await checkRefused('ConnectUmem without a target', nothing, INVALID_ARGUMENT);
      await set.connect();
    },
  },
];
