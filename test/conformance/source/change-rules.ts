import { status as Status } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, type Rule } from '../rule.js';
import type { MigrationMessage } from '../wire/messages.js';
import { PAGE_BYTES } from '../wire/read-batch.js';
import type { Lane } from './lane.js';
import { Peer } from './peer.js';
import type { PlayedMigration } from './played-migration.js';
import { completeByEoc, type SourceContext } from './source-context.js';

const FINISH = 'migration.proto, FinishMigration';
const UPDATE = 'migration.proto, UpdateMigration';
const LIMIT = 'migration.proto, MigrationOptions.max_bandwidth_bytes_per_second';

/** Bytes per second, and what a source may send at once besides: a turn, a burst and a batch under way. */
const RATE = 2 << 20;
const BURST_BYTES = 256 << 10;

function change(
  context: SourceContext,
  method: 'FinishMigration' | 'UpdateMigration',
  request: object,
): Promise<MigrationMessage> {
  return context.client.call<MigrationMessage>('MigrationService', method, request);
}

function totalPages({ pageCounts }: PlayedMigration): number {
  return [...pageCounts.values()].reduce((sum, pages) => sum + pages, 0);
}

/** All lanes of the destination's own page server: demand, and one at each background address. */
async function openAll(peer: Peer): Promise<{ readonly demand: Lane; readonly background: readonly Lane[] }> {
  const demand = await peer.open('demand');
  const background: Lane[] = [];
  for (const address of peer.migration.target.background_addresses)
    background.push(await peer.open('background', { address }));
  return { demand, background };
}

/** Bytes of the pages that have come and are not constant: at least so many were on the wire. */
function rawBytes(lanes: readonly Lane[]): number {
  let pages = 0;
  for (const { pages: arrived } of lanes)
    for (const page of arrived.values()) if (page.some((byte) => byte !== page[0])) pages++;
  return pages * PAGE_BYTES;
}

export const changeRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/finish/before-active',
    title: 'FinishMigration before the guest has moved turns background on for later, and may be repeated',
    from: FINISH,
    async run(context) {
      const migration = await context.begin({ no_background: true });
      try {
        checkSame('no_background', (await migration.get()).options?.no_background ?? null, true);
        for (let time = 0; time < 2; time++) {
          const { options } = await change(context, 'FinishMigration', { migration: migration.id });
          checkSame('no_background', options?.no_background ?? null, false);
        }
        checkSame('no_background', (await migration.get()).options?.no_background ?? null, false);
      } finally {
        await migration.cancel();
      }
    },
  },
  {
    id: 'source/finish/with-background',
    title: 'FinishMigration has no effect on a migration that has background already',
    from: FINISH,
    async run(context) {
      const migration = await context.migration();
      const before = await migration.get();
      const after = await change(context, 'FinishMigration', { migration: migration.id });
      checkSame('state', after.state, before.state);
      checkSame('no_background', after.options?.no_background ?? null, false);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/change/ended',
    title:
      'FinishMigration and UpdateMigration are refused with FAILED_PRECONDITION when the migration has ended, and with NOT_FOUND when there is none',
    from: `${FINISH}; UpdateMigration`,
    async run(context) {
      const migration = await context.begin({ no_background: true });
      await migration.cancel();
      const { FAILED_PRECONDITION, NOT_FOUND } = Status;
      for (const [id, code] of [
        [migration.id, FAILED_PRECONDITION],
        ['no-such-migration', NOT_FOUND],
      ] as const) {
        await checkRefused('FinishMigration', change(context, 'FinishMigration', { migration: id }), code);
        const request = { migration: id, max_bandwidth_bytes_per_second: '1000000' };
        await checkRefused('UpdateMigration', change(context, 'UpdateMigration', request), code);
      }
    },
  },
  {
    id: 'source/update/options',
    title: 'UpdateMigration changes the limit and nothing else; what is unset stays, and 0 is no limit',
    from: UPDATE,
    async run(context) {
      const migration = await context.begin({ max_bandwidth_bytes_per_second: '5000000' });
      const limitOf = ({ options }: MigrationMessage): string =>
        options?.max_bandwidth_bytes_per_second ?? '';
      try {
        const steps = [
          [{ max_bandwidth_bytes_per_second: '7000000' }, '7000000'],
          [{}, '7000000'],
          [{ max_bandwidth_bytes_per_second: '0' }, '0'],
          [{}, '0'],
        ] as const;
        for (const [request, limit] of steps) {
          const answer = await change(context, 'UpdateMigration', { migration: migration.id, ...request });
          checkSame('limit in the answer', limitOf(answer), limit);
          checkSame('limit', limitOf(await migration.get()), limit);
          checkSame('state', answer.state, 'MIGRATION_STATE_PREPARING');
        }
      } finally {
        await migration.cancel();
      }
    },
  },
  {
    id: 'source/update/limit',
    title:
      'Background lanes together hold to the limit, demand does not; UpdateMigration is effective at once; EOC before EOS ends it',
    from: `${LIMIT}; UpdateMigration`,
    destructive: true,
    async run(context) {
      const { migration, peer } = await context.beginSpare({ max_bandwidth_bytes_per_second: '1' });
      const { demand, background } = await openAll(peer);
      await migration.freeze();
      await migration.activate();
      const [[id, pages] = ['', 0]] = [...migration.pageCounts];
      // At a byte a second, what waits behind the limit would never come.
      await demand.pull(id, [pages - 1, 0, 7]);
      const before = rawBytes(background);
      check(before <= BURST_BYTES, `${before} bytes came in the background, at a byte a second`);
      const startedMs = performance.now();
      await change(context, 'UpdateMigration', {
        migration: migration.id,
        max_bandwidth_bytes_per_second: `${RATE}`,
      });
      const told: string[] = [];
      for (let share = 1; share <= 4; share++) {
        const wanted = before + (share * RATE) / 8;
        const isOver = (): boolean =>
          rawBytes(background) >= wanted || background.some((lane) => lane.eosCount > 0);
        // Each lane wakes for its own pages only.
        await Promise.race(background.map((lane) => lane.until('a part of the pages', isOver)));
        const seconds = (performance.now() - startedMs) / 1000;
        const most = 1.05 * RATE * seconds + BURST_BYTES;
        const sent = rawBytes(background) - before;
        check(sent <= most, `${sent} bytes came in ${seconds.toFixed(3)} s, at ${RATE} bytes per second`);
        told.push(`${Math.round(sent / 1024)} KiB in ${seconds.toFixed(2)} s`);
      }
      await change(context, 'UpdateMigration', {
        migration: migration.id,
        max_bandwidth_bytes_per_second: '0',
      });
      await Promise.all(background.map((lane) => lane.eos()));
      await completeByEoc(migration, [demand, ...background]);
      return told.join(', ');
    },
  },
  {
    id: 'source/finish/no-background',
    title:
      'With no_background the destination’s background lanes push nothing, while demand and other page servers are served, until FinishMigration: then they bring all the rest and EOS',
    from: `${FINISH}; MigrationOptions.no_background; protocol.md, Background lanes`,
    destructive: true,
    async run(context) {
      const { migration, peer } = await context.beginSpare({ no_background: true });
      const { demand, background } = await openAll(peer);
      check(background.length > 0, 'With no_background there is no background address to finish with');
      await migration.freeze();
      const stranger = new Peer(migration, await migration.createToken());
      await migration.activate();
      const all = totalPages(migration);
      // All that this one gets has passed the lanes that must push nothing.
      const other = await stranger.open('background');
      await other.eos();
      checkSame('pages that another page server got', other.arrivals.length, all);
      stranger.close();
      const [[id] = ['']] = [...migration.pageCounts];
      await demand.pull(id, [3, 4, 500]);
      checkSame('pages in the background', background.flatMap(({ arrivals }) => arrivals).length, 0);
      for (let time = 0; time < 2; time++) {
        const { options } = await change(context, 'FinishMigration', { migration: migration.id });
        checkSame('no_background', options?.no_background ?? null, false);
      }
      await Promise.all([demand, ...background].map((lane) => lane.eos()));
      const pushed = background.flatMap(({ arrivals }) => arrivals);
      checkSame('pages in the background', new Set(pushed).size, pushed.length);
      checkSame('pages in all', new Set([...pushed, ...demand.arrivals]).size, all);
      await completeByEoc(migration, [demand, ...background]);
      await checkRefused(
        'FinishMigration of a completed migration',
        change(context, 'FinishMigration', { migration: migration.id }),
        Status.FAILED_PRECONDITION,
      );
    },
  },
];
