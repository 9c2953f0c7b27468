import { status as Status, type StatusObject } from '@grpc/grpc-js';
import type { Seeds } from '../random.js';
import { check, NotApplicable } from '../rule.js';
import { WireClient } from '../wire/client.js';
import type { RamBlockMessage, VmMessage } from '../wire/messages.js';
import { describe, pageKey, type Lane } from './lane.js';
import { Peer } from './peer.js';
import { PlayedDestination } from './played-destination.js';
import { PlayedMigration } from './played-migration.js';
import type { SourceTarget } from './source-target.js';
import { OtherLane, RamFiles, type Truth } from './truth.js';

/** Further tokens that a migration has, by proto/. */
const MAX_TOKENS = 16;

/** A migration with what rules need beside it. */
interface Stage {
  readonly migration: PlayedMigration;
  /** The destination's own page server. */
  readonly destination: Peer;
  /** A lane that must never notice what others do. */
  readonly bystander: Lane;
  readonly truth: Truth;
  readonly peers: Peer[];
}

/** What rules of the source work with: a migration that stands still, and page servers to attach to it. */
export class SourceContext {
  readonly client: WireClient;
  readonly target: SourceTarget;
  readonly seeds: Seeds;
  readonly #spareVms: string[];
  readonly #sparePeers: Peer[] = [];
  readonly #begun: PlayedMigration[] = [];
  readonly #spares: PlayedMigration[] = [];
  readonly #played: PlayedDestination;
  #stage: Stage | null = null;
  #isActive = false;
  #bystanderPage = 0;

  private constructor(target: SourceTarget, seeds: Seeds, played: PlayedDestination) {
    this.target = target;
    this.seeds = seeds;
    this.#spareVms = [...target.spareVms];
    this.#played = played;
    this.client = new WireClient(target.address);
  }

  static async open(target: SourceTarget, seeds: Seeds): Promise<SourceContext> {
    return new SourceContext(target, seeds, await PlayedDestination.start(target.listen));
  }

  /**
   * A migration that waits for ConnectIncoming and is cancelled at the end of the rule, if it was not
   * before. Ends the one that stood still.
   */
  async begin(options: object = {}): Promise<PlayedMigration> {
    await this.end();
    const migration = await this.#start(this.target.vm, options);
    this.#begun.push(migration);
    return migration;
  }

  /**
   * A migration of a VM that no rule has used yet, so that its guest need not run there again; and the
   * destination's page server. It waits for ConnectIncoming. Throws NotApplicable when no such VM is left.
   */
  async beginSpare(
    options: object,
    isWanted: (vm: string, blocks: readonly RamBlockMessage[]) => boolean = () => true,
  ): Promise<{ readonly migration: PlayedMigration; readonly peer: Peer }> {
    for (const [index, name] of this.#spareVms.entries()) {
      const { blocks } = await this.client.call<VmMessage>('VmService', 'GetVm', { name });
      if (!isWanted(name, blocks)) continue;
      this.#spareVms.splice(index, 1);
      const migration = await this.#start(name, options);
      const peer = new Peer(migration, migration.target.token);
      this.#sparePeers.push(peer);
      this.#spares.push(migration);
      return { migration, peer };
    }
    throw new NotApplicable(
      'No further VM that it could move is there: name one with --vm, and its RAM files with --ram',
    );
  }

  #start(vm: string, options: object): Promise<PlayedMigration> {
    const { client } = this;
    return PlayedMigration.start({ client, destination: this.#played, sourceAddress: '', vm, options });
  }

  /** The migration that stands still, frozen before the point of no return; or the active one. */
  async migration(): Promise<PlayedMigration> {
    return (await this.#staged()).migration;
  }

  /** A page server that nothing was sent to yet. */
  async peer(): Promise<Peer> {
    let stage = await this.#staged();
    // One token is the bystander's.
    if (stage.peers.length >= MAX_TOKENS - 1) {
      check(!this.#isActive, `More than ${MAX_TOKENS} page servers for one active migration`);
      await this.end();
      stage = await this.#staged();
    }
    const peer = new Peer(stage.migration, await stage.migration.createToken());
    stage.peers.push(peer);
    return peer;
  }

  /** The destination's own page server, with the token of ConnectIncoming. */
  async destination(): Promise<Peer> {
    return (await this.#staged()).destination;
  }

  /** Passes the point of no return: the guest will not run at its source again. */
  async activate(): Promise<PlayedMigration> {
    // All its tokens are for the rules to come.
    if (!this.#isActive && (this.#stage?.peers.length ?? 0) > 0) await this.end();
    const { migration } = await this.#staged();
    if (!this.#isActive) await migration.activate();
    this.#isActive = true;
    return migration;
  }

  /** Gives the guest back to the source. */
  async end(): Promise<void> {
    const stage = this.#stage;
    if (stage === null) return;
    check(!this.#isActive, 'An active migration cannot be given back');
    this.#stage = null;
    await stage.migration.cancel();
    this.#closeLanes(stage);
  }

  /** Blocks by their sizes in pages, the largest first. */
  async blocks(): Promise<{ readonly id: string; readonly pages: number }[]> {
    const { pageCounts } = await this.migration();
    return [...pageCounts].map(([id, pages]) => ({ id, pages })).sort((a, b) => b.pages - a.pages);
  }

  async largestBlock(): Promise<{ readonly id: string; readonly pages: number }> {
    const [block] = await this.blocks();
    if (block === undefined) throw new NotApplicable('The VM has no RAM block');
    return block;
  }

  /** Throws unless these pages of a lane hold what the source's RAM holds. */
  async checkPages(lane: Lane, blockId: string, pgoffs: readonly number[]): Promise<void> {
    const { truth } = await this.#staged();
    const expected = await truth.pages(blockId, pgoffs);
    pgoffs.forEach((pgoff, index) => {
      const page = lane.pages.get(pageKey(blockId, pgoff));
      check(page !== undefined, `Page ${pgoff} of ${blockId} has not come`);
      check(
        page.equals(expected[index] ?? Buffer.of()),
        `Page ${pgoff} of ${blockId} has other bytes than the source's RAM`,
      );
    });
  }

  /** The same for everything that a lane has brought. */
  async checkAllPages(lane: Lane): Promise<void> {
    lane.checkBatches();
    for (const { id, pages } of await this.blocks()) {
      const pgoffs = Array.from({ length: pages }, (_, pgoff) => pgoff).filter((pgoff) =>
        lane.pages.has(pageKey(id, pgoff)),
      );
      await this.checkPages(lane, id, pgoffs);
    }
  }

  /** Throws unless another page server's lane is served as if nothing had happened. */
  async checkUndisturbed(): Promise<void> {
    const { bystander } = await this.#staged();
    const { id, pages } = await this.largestBlock();
    const pgoff = (this.#bystanderPage += 7) % pages;
    check(bystander.status === null, `Another page server's lane has ended: ${describe(bystander.status)}`);
    await bystander.barrier(id, pgoff);
    await this.checkPages(bystander, id, [pgoff]);
  }

  /** Closes the rule's lanes, and gives the guest back if the rule has not. */
  async endRule(): Promise<void> {
    for (const peer of [...(this.#stage?.peers ?? []), ...this.#sparePeers.splice(0)]) peer.close();
    for (const migration of this.#begun.splice(0)) await migration.cancel();
    // One that is past the point of no return goes on.
    for (const migration of this.#spares.splice(0)) await migration.cancel().catch(() => undefined);
  }

  async close(): Promise<void> {
    const stage = this.#stage;
    try {
      await this.endRule();
      if (this.#isActive && stage !== null) this.#closeLanes(stage);
      else await this.end();
    } finally {
      this.client.close();
      this.#played.stop();
    }
  }

  #closeLanes({ peers, destination, bystander }: Stage): void {
    for (const peer of [...peers, destination]) peer.close();
    bystander.cancel();
  }

  async #staged(): Promise<Stage> {
    if (this.#stage !== null) return this.#stage;
    const migration = await this.#start(this.target.vm, {});
    const destination = new Peer(migration, migration.target.token);
    // What ConnectIncoming promises: every lane of the destination's page server is connected.
    await destination.open('demand');
    for (const address of migration.target.background_addresses)
      await destination.open('background', { address });
    await migration.freeze();
    const bystander = await new Peer(migration, await migration.createToken()).open('demand');
    const { ramPaths } = this.target;
    const truth = ramPaths.size > 0 ? new RamFiles(ramPaths) : new OtherLane(bystander);
    return (this.#stage = { migration, destination, bystander, truth, peers: [] });
  }
}

/** Throws unless the lane has ended with one of these codes and, where given, with these words. */
export async function checkEnds(
  lane: Lane,
  codes: readonly Status[],
  words: readonly string[] = [],
): Promise<StatusObject> {
  const status = await lane.ended;
  const expected = codes.map((code) => Status[code]).join(' or ');
  check(codes.includes(status.code), `The lane ended with ${describe(status)}, not ${expected}`);
  for (const word of words)
    check(status.details.includes(word), `The status does not name ${word}: ${describe(status)}`);
  lane.checkBatches();
  return status;
}

/** EOC on all lanes of the destination's page server: they end with OK, and the migration is COMPLETED. */
export async function completeByEoc(migration: PlayedMigration, lanes: readonly Lane[]): Promise<void> {
  for (const lane of lanes) void lane.finish();
  for (const lane of lanes) await checkEnds(lane, [Status.OK]);
  migration.script.enter('INCOMING_STATE_COMPLETED');
  await migration.until('MIGRATION_STATE_COMPLETED');
}
