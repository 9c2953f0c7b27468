import { setTimeout as delay } from 'node:timers/promises';
import { status as Status } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import type { MigrationMessage } from '../wire/messages.js';
import { Peer } from './peer.js';
import type { PlayedMigration } from './played-migration.js';
import { checkEnds, type SourceContext } from './source-context.js';
import { RamFiles } from './truth.js';

/** How long pages are waited for that must not come. */
const NOTHING_MS = 300;

async function checkRunsAgain(migration: PlayedMigration): Promise<void> {
  checkSame('run state of the source guest', await migration.runState(), 'VM_RUN_STATE_RUNNING');
  const { state, guest_recoverable: recoverable } = await migration.get();
  checkSame('state of the migration', state, 'MIGRATION_STATE_FAILED');
  check(recoverable, 'guest_recoverable is false although the guest runs on its source');
}

export const migrationRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/migration/connect-order',
    title: 'ConnectIncoming names the migration, its token, its addresses and its blocks',
    from: 'incoming.proto, ConnectIncomingRequest and umemd.proto, LaneTarget',
    async run(context) {
      const { target, blocks } = await context.migration();
      check(target.token.length > 0, 'LaneTarget.token is empty');
      check(target.demand_address !== '', 'LaneTarget.demand_address is empty');
      check(blocks.length > 0, 'ConnectIncomingRequest.blocks is empty');
      const vm = await context.client.call<{ blocks: { block_id: string; size_bytes: string }[] }>(
        'VmService',
        'GetVm',
        {
          name: context.target.vm,
        },
      );
      const show = (list: readonly { block_id: string; size_bytes: string }[]): string[] =>
        list.map((block) => `${block.block_id}:${block.size_bytes}`).sort();
      checkSameList('blocks', show(blocks), show(vm.blocks));
    },
  },
  {
    id: 'source/migration/options',
    title: 'Options that do not exist, and touching without CACHE, are refused with INVALID_ARGUMENT',
    from: 'migration.proto, MigrationOptions; protocol.md, Compatibility: unknown enum values',
    async run(context) {
      await context.end();
      const { vm } = context.target;
      for (const options of [
        { postcopy_flags: 2, placement: 'PLACEMENT_CACHE' },
        { postcopy_flags: 2 ** 31, placement: 'PLACEMENT_CACHE' },
        { postcopy_flags: 1 },
        { postcopy_flags: 1, placement: 'PLACEMENT_COPY' },
        { placement: 9 },
        { source_after: 9 },
      ])
        await checkRefused(
          JSON.stringify(options),
          context.client.call('MigrationService', 'CreateMigration', {
            vm,
            destination_address: '127.0.0.1:1',
            options,
          }),
          Status.INVALID_ARGUMENT,
        );
    },
  },
  {
    id: 'source/migration/placing',
    title: 'Placement and postcopy flags reach the destination in Preflight and PrepareIncoming',
    from: 'migration.proto, MigrationOptions.placement; incoming.proto, PrepareIncomingRequest',
    async run(context) {
      for (const [options, placement, flags] of [
        [{ placement: 'PLACEMENT_CACHE', postcopy_flags: 1 }, 'PLACEMENT_CACHE', 1],
        [{ placement: 'PLACEMENT_CACHE' }, 'PLACEMENT_CACHE', 0],
        [{}, 'PLACEMENT_COPY', 0],
      ] as const) {
        const migration = await context.begin(options);
        const { preflight, prepare } = migration.script;
        await migration.cancel();
        const same = (found: string | undefined): boolean =>
          found === placement || (placement === 'PLACEMENT_COPY' && found === 'PLACEMENT_UNSPECIFIED');
        check(
          same(preflight?.placement),
          `PreflightRequest.placement: ${preflight?.placement}, not ${placement}`,
        );
        check(
          same(prepare?.placement),
          `PrepareIncomingRequest.placement: ${prepare?.placement}, not ${placement}`,
        );
        checkSame('PrepareIncomingRequest.postcopy_flags', prepare?.postcopy_flags ?? -1, flags);
      }
    },
  },
  {
    id: 'source/migration/requests-wait',
    title: 'Requests made before the guest is frozen wait until it is, and bring what it then has',
    from: 'page_source.proto, PageSource.Serve: requests made before the guest is frozen wait',
    async run(context) {
      const migration = await context.begin();
      const peer = new Peer(migration, migration.target.token);
      try {
        const lane = await peer.open('demand');
        const [[id] = ['']] = [...migration.pageCounts];
        lane.send({ on_demand: { block_id: id, pgoffs: [0, 1, 2] } });
        lane.send({ background: { block_id: id, pgoffs: [3] } });
        await delay(NOTHING_MS);
        checkSame('run state of the guest', await migration.runState(), 'VM_RUN_STATE_RUNNING');
        checkSame('pages that came while the guest ran', lane.arrivals.length, 0);
        await migration.freeze();
        await lane.until('the pages', () => lane.arrivals.length >= 4);
        if (context.target.ramPaths.size === 0) return 'bytes not compared: no RAM files here';
        const truth = await new RamFiles(context.target.ramPaths).pages(id, [0, 1, 2, 3]);
        truth.forEach((bytes, pgoff) =>
          check(
            lane.pages.get(`${id}:${pgoff}`)?.equals(bytes) === true,
            `Page ${pgoff} has other bytes than the frozen RAM`,
          ),
        );
      } finally {
        peer.close();
        await migration.cancel();
      }
    },
  },
  {
    id: 'source/migration/frozen',
    title: 'While device state is loaded the guest stands still',
    from: 'migration.proto, MIGRATION_STATE_SWITCHOVER',
    async run(context) {
      const migration = await context.migration();
      checkSame('run state', await migration.runState(), 'VM_RUN_STATE_STOPPED');
      checkSame('state', (await migration.get()).state, 'MIGRATION_STATE_SWITCHOVER');
      check(migration.script.deviceStateBytes > 0, 'LoadDeviceState brought no byte');
    },
  },
  {
    id: 'source/migration/cancel',
    title: 'CancelMigration ends all lanes with CANCELLED; the guest runs on and the destination is told',
    from: 'page_source.proto, PageSource.Serve: CANCELLED; migration.proto, CancelMigration',
    async run(context) {
      const migration = await context.begin();
      await migration.freeze();
      const peers = [
        new Peer(migration, migration.target.token),
        new Peer(migration, await migration.createToken()),
      ];
      const lanes = await Promise.all(
        peers.flatMap((peer) => [peer.open('demand'), peer.open('background')]),
      );
      const answer = await migration.cancel();
      checkSame('error_reason', answer.error_reason, 'CANCELLED');
      for (const lane of lanes) await checkEnds(lane, [Status.CANCELLED]);
      await migration.script.aborted;
      await checkRunsAgain(migration);
      const late = peers[0]?.dial();
      late?.send(peers[0]?.init('demand') ?? {});
      if (late !== undefined) await checkEnds(late, [Status.NOT_FOUND, Status.CANCELLED]);
      checkSame('calls of ResumeIncoming', migration.script.resumeCalls, 0);
    },
  },
  {
    id: 'source/migration/cancel-twice',
    title: 'CancelMigration may be repeated',
    from: 'migration.proto, CancelMigration: repeating it has no further effect',
    async run(context) {
      const migration = await context.begin();
      await migration.cancel();
      checkSame('state', (await migration.cancel()).state, 'MIGRATION_STATE_FAILED');
      await checkRunsAgain(migration);
    },
  },
  {
    id: 'source/migration/refused-connect',
    title: 'When ConnectIncoming is refused, the guest was never stopped and the destination is told',
    from: 'incoming.proto, AbortIncoming; migration.proto, Migration.guest_recoverable',
    async run(context) {
      const migration = await context.begin();
      migration.script.connect.refuse(
        Object.assign(new Error('Refused by the suite'), { code: Status.FAILED_PRECONDITION }),
      );
      await migration.script.aborted;
      const { error } = await migration.until('MIGRATION_STATE_FAILED');
      check(error.includes('Refused by the suite'), `Migration.error does not say why: ${error}`);
      await checkRunsAgain(migration);
    },
  },
  {
    id: 'source/migration/refused-load',
    title: 'When LoadDeviceState is refused, the guest runs on its source and the destination is told',
    from: 'incoming.proto, AbortIncoming; migration.proto, Migration.guest_recoverable',
    async run(context) {
      const migration = await context.begin();
      await migration.freeze();
      migration.script.load.refuse(
        Object.assign(new Error('Refused by the suite'), { code: Status.FAILED_PRECONDITION }),
      );
      await migration.script.aborted;
      const { error } = await migration.until('MIGRATION_STATE_FAILED');
      check(error.includes('Refused by the suite'), `Migration.error does not say why: ${error}`);
      await checkRunsAgain(migration);
      checkSame('calls of ResumeIncoming', migration.script.resumeCalls, 0);
    },
  },
  {
    id: 'source/migration/refused-resume',
    title:
      'When ResumeIncoming is refused and the destination gives its guest up, the guest runs on its source',
    from: 'incoming.proto, AbortIncoming: a guest that has never run; migration.proto, Migration.guest_recoverable',
    async run(context) {
      const migration = await context.begin();
      await migration.freeze();
      migration.script.resume.refuse(
        Object.assign(new Error('Refused by the suite'), { code: Status.FAILED_PRECONDITION }),
      );
      migration.script.load.open();
      await migration.script.aborted;
      const { error } = await migration.until('MIGRATION_STATE_FAILED');
      check(error.includes('Refused by the suite'), `Migration.error does not say why: ${error}`);
      await checkRunsAgain(migration);
    },
  },
  {
    id: 'source/migration/one-per-vm',
    title: 'A VM that is migrating is refused a second migration with FAILED_PRECONDITION',
    from: 'migration.proto, CreateMigration: one unfinished migration per VM',
    async run(context) {
      const { vm } = await context.migration();
      const request = { vm, destination_address: '127.0.0.1:1' };
      await checkRefused(
        'A second migration',
        context.client.call('MigrationService', 'CreateMigration', request),
        Status.FAILED_PRECONDITION,
      );
      const unknown = { vm: 'no-such-vm', destination_address: '127.0.0.1:1' };
      await checkRefused(
        'An unknown VM',
        context.client.call('MigrationService', 'CreateMigration', unknown),
        Status.NOT_FOUND,
      );
      const flags = { vm, destination_address: '127.0.0.1:1', options: { postcopy_flags: 0x80 } };
      await checkRefused(
        'An unknown postcopy flag',
        context.client.call('MigrationService', 'CreateMigration', flags),
        Status.INVALID_ARGUMENT,
        Status.FAILED_PRECONDITION,
      );
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/migration/tokens',
    title: 'A migration has at most 16 further tokens; the next is refused with RESOURCE_EXHAUSTED',
    from: 'migration.proto, CreateLaneToken: at most 16 per migration',
    async run(context) {
      const migration = await context.begin();
      try {
        await migration.freeze();
        const tokens = new Set<string>([migration.target.token]);
        for (let count = 0; count < 16; count++) tokens.add(await migration.createToken());
        checkSame('different tokens', tokens.size, 17);
        await checkRefused('The 17th token', migration.createToken(), Status.RESOURCE_EXHAUSTED);
      } finally {
        await migration.cancel();
      }
      await checkRefused(
        'A token of a migration that is over',
        migration.createToken(),
        Status.FAILED_PRECONDITION,
        Status.NOT_FOUND,
      );
    },
  },
  {
    id: 'source/migration/request-id',
    title: 'CreateMigration with a request_id that was seen before answers with that migration',
    from: 'migration.proto, CreateMigration',
    async run(context) {
      const { id } = await context.begin({});
      const request = {
        vm: context.target.vm,
        destination_address: '127.0.0.1:1',
        request_id: 'conformance-0001',
      };
      await context.client.call('MigrationService', 'CancelMigration', { migration: id });
      const first = await context.client.call<MigrationMessage>(
        'MigrationService',
        'CreateMigration',
        request,
      );
      const again = await context.client.call<MigrationMessage>(
        'MigrationService',
        'CreateMigration',
        request,
      );
      checkSame('its id', again.migration_id, first.migration_id);
      await context.client.call('MigrationService', 'CancelMigration', { migration: first.migration_id });
    },
  },
];
