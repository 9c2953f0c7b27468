import {
  fromBlockMessages,
  Placement,
  streaming,
  toServiceError,
  unary,
  type LaneTarget,
  type Umem,
  type UmemdServer,
  type VmmCommand,
} from '@umem/api';
import { InvalidArgument, Overloaded } from '@umem/errors';
import { laneDescriptors } from './receive/lane-descriptors.js';
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
    createUmem: unary(({ name, blocks, vmmUserId, placement, postcopyFlags }) => {
      const placing = { vmmUserId, ...checkPlacement(placement, postcopyFlags) };
      return toUmemMessage(sets.create(name, fromBlockMessages(blocks), placing));
    }),
    connectUmem: unary(async ({ name, target, confirmPlaced }) => {
      const set = sets.get(name);
      const isTokenKnown = set.state === 'DETACHED';
      await set.connect(checkTarget(target, maxBackgroundLanes, isTokenKnown), confirmPlaced);
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

/** Bits of `postcopy_flags`. */
const TOUCH = 1;

function checkPlacement(placement: Placement, flags: number): { cache: boolean; touch: boolean } {
  if (![Placement.UNSPECIFIED, Placement.COPY, Placement.CACHE].includes(placement))
    throw new InvalidArgument(`placement ${placement} is unknown`);
  const cache = placement === Placement.CACHE;
  if ((flags & ~TOUCH) !== 0)
    throw new InvalidArgument(`postcopy_flags ${flags} has unknown bits: only bit 0 (${TOUCH}) is known`);
  if ((flags & TOUCH) !== 0 && !cache)
    throw new InvalidArgument(
      'postcopy_flags 1 asks for touching requests, which go with placement CACHE only',
    );
  return { cache, touch: (flags & TOUCH) !== 0 };
}

function checkTarget(
  target: LaneTarget | undefined,
  maxBackgroundLanes: number,
  isTokenKnown: boolean,
): LaneTarget {
  if (!target) throw new InvalidArgument('target is not set');
  if (target.migrationId === '') throw new InvalidArgument('target.migration_id is empty');
  if (target.token === '' && !isTokenKnown) throw new InvalidArgument('target.token is empty');
  if (target.backgroundAddresses.length > maxBackgroundLanes)
    throw new Overloaded(
      `${target.backgroundAddresses.length} background lanes were asked for and --max-background-lanes is ${maxBackgroundLanes}`,
    );
  laneDescriptors.check(target);
  return target;
}
