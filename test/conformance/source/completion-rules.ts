import { status as Status } from '@grpc/grpc-js';
import { checkRefused } from '../check-refused.js';
import { check, checkSame, type Rule } from '../rule.js';
import { pageKey } from './lane.js';
import { receivedWhere } from './received-rules.js';
import { checkEnds, completeByEoc, type SourceContext } from './source-context.js';

/** The end of the active migration: these come last, in this order. */
export const completionRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/complete/no-way-back',
    title:
      'After the point of no return CancelMigration is refused with FAILED_PRECONDITION and the guest stays stopped',
    from: 'migration.proto, CancelMigration',
    destructive: true,
    async run(context) {
      const migration = await context.activate();
      await checkRefused('CancelMigration', migration.cancel(), Status.FAILED_PRECONDITION);
      check(
        (await migration.runState()) !== 'VM_RUN_STATE_RUNNING',
        'The source guest runs after the point of no return',
      );
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/complete/detached',
    title:
      'Without the destination’s lanes the migration is POSTCOPY_DETACHED, with new ones POSTCOPY_ACTIVE again',
    from: 'migration.proto, MIGRATION_STATE_POSTCOPY_DETACHED',
    destructive: true,
    async run(context) {
      const migration = await context.activate();
      const destination = await context.destination();
      await migration.until('MIGRATION_STATE_POSTCOPY_ACTIVE');
      destination.close();
      await migration.until('MIGRATION_STATE_POSTCOPY_DETACHED');
      destination.generation++;
      const { id } = await context.largestBlock();
      const received = await receivedWhere(context, (block, pgoff) => block !== id || pgoff >= 100);
      const demand = await destination.open('demand', { received });
      const background = await destination.open('background', { received });
      await migration.until('MIGRATION_STATE_POSTCOPY_ACTIVE');
      await Promise.all([demand.eos(), background.eos()]);
      checkSame('pages that came', background.arrivals.length, 100);
      await context.checkAllPages(background);
      await demand.pull(id, [5]);
      check(demand.pages.has(pageKey(id, 5)), 'Demand after EOS was not answered');
    },
  },
  {
    id: 'source/complete/eoc',
    title:
      'The destination’s EOC ends its lanes with OK and completes the migration; its pages are served no more',
    from: 'page_source.proto, UmemRequest.eoc; migration.proto, MIGRATION_STATE_COMPLETED',
    destructive: true,
    async run(context) {
      const migration = await context.activate();
      const destination = await context.destination();
      destination.generation++;
      const received = await receivedWhere(context, () => true);
      const lanes = [
        await destination.open('demand', { received }),
        await destination.open('background', { received }),
      ];
      for (const lane of lanes) await lane.eos();
      await completeByEoc(migration, lanes);
      const late = destination.dial();
      late.send(destination.init('demand'));
      await checkEnds(late, [Status.NOT_FOUND]);
      check(
        (await migration.runState()) !== 'VM_RUN_STATE_RUNNING',
        'The source guest runs after the migration',
      );
    },
  },
];
