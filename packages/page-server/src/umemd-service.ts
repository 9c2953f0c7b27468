import {
  fromBlockMessages,
  parseAddress,
  streaming,
  toServiceError,
  unary,
  type LaneTarget,
  type Umem,
  type UmemdServer,
  type VmmCommand,
} from '@umem/api';
import { InvalidArgument, Overloaded } from '@umem/errors';
import type { ControlStream } from './session/control-pipe.js';
import { toUmemMessage } from './session/umem-message.js';
import type { UmemSets } from './session/umem-sets.js';

const INTERVAL_MS = { default: 200, min: 50, max: 60_000 } as const;

export interface UmemdServiceSettings {
  readonly sets: UmemSets;
  /** Background lanes of one set. */
  readonly maxBackgroundLanes: number;
}

/** All but ReattachUmem, which grpc-js answers with UNIMPLEMENTED. */
type ServedMethods = Pick<
  UmemdServer,
  'createUmem' | 'connectUmem' | 'getUmem' | 'listUmems' | 'watchUmem' | 'deleteUmem' | 'control'
>;

/** The handlers of `umem.v1.Umemd`. */
export function createUmemdService({ sets, maxBackgroundLanes }: UmemdServiceSettings): ServedMethods {
  return {
    createUmem: unary(({ name, blocks, vmmUserId }) =>
      toUmemMessage(sets.create(name, fromBlockMessages(blocks), vmmUserId)),
    ),
    connectUmem: unary(async ({ name, target }) => {
      const set = sets.get(name);
      await set.connect(checkTarget(target, maxBackgroundLanes));
      return toUmemMessage(set);
    }),
    getUmem: unary(({ name }) => toUmemMessage(sets.get(name))),
    listUmems: unary(() => ({ umems: sets.list().map(toUmemMessage) })),
    watchUmem: streaming(({ name, intervalMs }, signal) => watch(sets, name, intervalMs, signal)),
    deleteUmem: unary(async ({ name, guestNeverRan }) => {
      await sets.delete(name, guestNeverRan);
      return {};
    }),
    control: (stream: ControlStream) => {
      stream.once('data', (first: VmmCommand) => {
        try {
          if (first.command?.$case !== 'attach')
            throw new InvalidArgument('The first message of a control stream must be ATTACH');
          sets.get(first.umem).attachControl(stream);
        } catch (error) {
          // Not destroy(error): grpc-js then never sends the status.
          stream.emit('error', Object.assign(new Error(), toServiceError(error)));
        }
      });
      // A stream that never said whose it is ends with its client.
      stream.once('end', () => stream.end());
    },
  };
}

async function* watch(
  sets: UmemSets,
  name: string,
  intervalMs: number,
  signal: AbortSignal,
): AsyncGenerator<Umem, void, void> {
  const { min, max } = INTERVAL_MS;
  const interval = intervalMs === 0 ? INTERVAL_MS.default : intervalMs;
  if (interval < min || interval > max)
    throw new InvalidArgument(`interval_ms ${intervalMs} must be 0 or from ${min} to ${max}`);
  for await (const set of sets.get(name).changes.subscribe(interval, signal)) yield toUmemMessage(set);
}

function checkTarget(target: LaneTarget | undefined, maxBackgroundLanes: number): LaneTarget {
  if (!target) throw new InvalidArgument('target is not set');
  if (target.migrationId === '') throw new InvalidArgument('target.migration_id is empty');
  if (target.token === '') throw new InvalidArgument('target.token is empty');
  for (const address of [target.demandAddress, ...target.backgroundAddresses]) parseAddress(address);
  if (target.backgroundAddresses.length > maxBackgroundLanes)
    throw new Overloaded(
      `${target.backgroundAddresses.length} background lanes were asked for and --max-background-lanes is ${maxBackgroundLanes}`,
    );
  return target;
}
