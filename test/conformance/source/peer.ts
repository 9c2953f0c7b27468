import type { ChannelOptions } from '@grpc/grpc-js';
import type { PageBitmapMessage } from '../wire/messages.js';
import { check } from '../rule.js';
import { describe, Lane } from './lane.js';
import type { PlayedMigration } from './played-migration.js';

export type LaneKindName = 'demand' | 'background';

/** What may differ from an ordinary lane. */
export interface OpenOptions {
  /** Default: the peer's own. */
  readonly generation?: number;
  readonly received?: readonly PageBitmapMessage[];
  readonly channel?: ChannelOptions;
  /** Default: where the migration's target sends lanes of this kind. */
  readonly address?: string;
}

/** One page server, played by the suite: a token and the lanes that it opens. */
export class Peer {
  /** Of its newest connection. */
  generation = 1;
  readonly migration: PlayedMigration;
  readonly token: string;
  readonly #lanes: Lane[] = [];

  constructor(migration: PlayedMigration, token: string) {
    this.migration = migration;
    this.token = token;
  }

  /** INIT for this migration, with changes to its fields. */
  init(kind: LaneKindName, changes: object = {}): { init: object } {
    return {
      init: {
        migration_id: this.migration.id,
        lane_kind: kind === 'demand' ? 'LANE_KIND_DEMAND' : 'LANE_KIND_BACKGROUND',
        target_page_size_bytes: 4096,
        blocks: this.migration.blocks,
        generation: this.generation,
        ...changes,
      },
    };
  }

  /** A lane on which nothing has been said yet. */
  dial(kind: LaneKindName = 'demand', options: OpenOptions & { readonly token?: string | null } = {}): Lane {
    const { channel } = options;
    const lane = new Lane({
      address: options.address ?? this.migration.addressFor(kind),
      token: options.token === undefined ? this.token : options.token,
      pageCounts: this.migration.pageCounts,
      ...(channel === undefined ? {} : { channel }),
    });
    this.#lanes.push(lane);
    return lane;
  }

  /** A lane that the source must accept. */
  async open(kind: LaneKindName = 'demand', options: OpenOptions = {}): Promise<Lane> {
    const lane = this.dial(kind, options);
    lane.send(
      this.init(kind, {
        generation: options.generation ?? this.generation,
        received: options.received ?? [],
      }),
    );
    const refusal = await lane.accepted;
    check(refusal === null, `A good INIT was refused: ${describe(refusal)}`);
    return lane;
  }

  /** Cancels all its lanes. */
  close(): void {
    for (const lane of this.#lanes) lane.cancel();
  }
}
