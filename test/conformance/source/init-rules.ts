import { status as Status, type ServiceError } from '@grpc/grpc-js';
import { check, NotApplicable, type Rule } from '../rule.js';
import { FROM_THE_FUTURE, GARBAGE, UNSET } from '../wire/bad-messages.js';
import { checkErrorDetails } from '../wire/error-details.js';
import type { RamBlockMessage } from '../wire/messages.js';
import { toBits } from '../wire/page-bits.js';
import { checkEnds, type SourceContext } from './source-context.js';

const {
  FAILED_PRECONDITION,
  INTERNAL,
  INVALID_ARGUMENT,
  NOT_FOUND,
  PERMISSION_DENIED,
  RESOURCE_EXHAUSTED,
  UNAUTHENTICATED,
} = Status;
const SERVE = 'page_source.proto, PageSource.Serve';

interface BadInit {
  readonly id: string;
  readonly title: string;
  /** Changes to a good INIT. */
  readonly changes: (blocks: readonly RamBlockMessage[]) => object;
  readonly codes: readonly Status[];
  /** What the status must name. */
  readonly words?: (blocks: readonly RamBlockMessage[]) => readonly string[];
}

function smaller(block: RamBlockMessage | undefined): RamBlockMessage {
  if (block === undefined) throw new NotApplicable('The VM has no RAM block');
  return { ...block, size_bytes: `${Number(block.size_bytes) - 4096}` };
}

function pagesOf(block: RamBlockMessage): number {
  return Number(block.size_bytes) / 4096;
}

/** The first block whose bitmap has bits past its end. */
function spareBlock(blocks: readonly RamBlockMessage[]): RamBlockMessage {
  const found = blocks.find((block) => pagesOf(block) % 8 !== 0);
  if (found === undefined)
    throw new NotApplicable('Every block is a multiple of eight pages: no bitmap has spare bits');
  return found;
}

const BAD_INITS: readonly BadInit[] = [
  {
    id: 'unknown-migration',
    title: 'INIT for a migration that does not exist is refused with NOT_FOUND',
    changes: () => ({ migration_id: 'no-such-migration' }),
    codes: [NOT_FOUND],
    words: () => ['no-such-migration'],
  },
  {
    id: 'unset-lane-kind',
    title: 'An unset lane kind is refused with INVALID_ARGUMENT',
    changes: () => ({ lane_kind: 0 }),
    codes: [INVALID_ARGUMENT],
  },
  {
    id: 'unknown-lane-kind',
    title: 'A lane kind of the future is refused with INVALID_ARGUMENT',
    changes: () => ({ lane_kind: 77 }),
    codes: [INVALID_ARGUMENT],
  },
  {
    id: 'page-size',
    title: 'Another target page size is refused with FAILED_PRECONDITION that names both',
    changes: () => ({ target_page_size_bytes: 8192 }),
    codes: [FAILED_PRECONDITION],
    words: () => ['8192', '4096'],
  },
  {
    id: 'unset-page-size',
    title: 'An unset target page size is refused',
    changes: () => ({ target_page_size_bytes: 0 }),
    codes: [FAILED_PRECONDITION, INVALID_ARGUMENT],
  },
  {
    id: 'block-size',
    title: 'A block of another size is refused with FAILED_PRECONDITION that names both sizes',
    changes: ([first, ...others]) => ({ blocks: [smaller(first), ...others] }),
    codes: [FAILED_PRECONDITION],
    words: ([first]) => [first?.size_bytes ?? '', smaller(first).size_bytes],
  },
  {
    id: 'missing-block',
    title: 'A block too few is refused with FAILED_PRECONDITION that names it',
    changes: (blocks) => ({ blocks: blocks.slice(0, -1) }),
    codes: [FAILED_PRECONDITION],
    words: (blocks) => [blocks.at(-1)?.block_id ?? ''],
  },
  {
    id: 'extra-block',
    title: 'A block too many is refused with FAILED_PRECONDITION that names it',
    changes: (blocks) => ({ blocks: [...blocks, { ...blocks[0], block_id: 'no-such-block' }] }),
    codes: [FAILED_PRECONDITION],
    words: () => ['no-such-block'],
  },
  {
    id: 'repeated-block',
    title: 'A block that is listed twice is refused',
    changes: (blocks) => ({ blocks: [...blocks, blocks[0]] }),
    codes: [FAILED_PRECONDITION, INVALID_ARGUMENT],
  },
  {
    id: 'no-blocks',
    title: 'INIT without blocks is refused with FAILED_PRECONDITION',
    changes: () => ({ blocks: [] }),
    codes: [FAILED_PRECONDITION],
  },
  {
    id: 'short-bitmap',
    title: 'A received bitmap that is a byte short is refused',
    changes: ([first]) => ({
      received: first && [
        { block_id: first.block_id, bits: Buffer.alloc(Math.ceil(pagesOf(first) / 8) - 1) },
      ],
    }),
    codes: [INVALID_ARGUMENT, FAILED_PRECONDITION],
  },
  {
    id: 'long-bitmap',
    title: 'A received bitmap that is a byte long is refused',
    changes: ([first]) => ({
      received: first && [
        { block_id: first.block_id, bits: Buffer.alloc(Math.ceil(pagesOf(first) / 8) + 1) },
      ],
    }),
    codes: [INVALID_ARGUMENT, FAILED_PRECONDITION],
  },
  {
    id: 'spare-bits',
    title: 'A received bitmap with a bit set past the end of its block is refused',
    changes: (blocks) => {
      const block = spareBlock(blocks);
      const bits = toBits(pagesOf(block), () => false);
      bits[bits.length - 1] = 0x80;
      return { received: [{ block_id: block.block_id, bits }] };
    },
    codes: [INVALID_ARGUMENT, FAILED_PRECONDITION],
  },
  {
    id: 'bitmap-of-unknown-block',
    title: 'A received bitmap of an unknown block is refused with NOT_FOUND',
    changes: () => ({ received: [{ block_id: 'no-such-block', bits: Buffer.alloc(1) }] }),
    codes: [NOT_FOUND],
    words: () => ['no-such-block'],
  },
];

/** Anything before INIT. */
const EARLY: Readonly<Record<string, object | Buffer>> = {
  'on-demand': { on_demand: { block_id: 'ram0', pgoffs: [0] } },
  'on-demand-cont': { on_demand_cont: { pgoffs: [0] } },
  background: { background: { block_id: 'ram0', pgoffs: [0] } },
  'background-cont': { background_cont: { pgoffs: [0] } },
  remove: { remove: { block_id: 'ram0', pgoffs: [0] } },
  eoc: { eoc: {} },
  placed: { placed: { block_id: 'ram0', ranges: [{ pgoff: 0, page_count: 1 }] } },
  unset: UNSET,
  unknown: FROM_THE_FUTURE,
};

const MANY_LANES = 512;

export const initRules: readonly Rule<SourceContext>[] = [
  {
    id: 'source/init/accepted',
    title: 'A good INIT is answered with response headers, before any request',
    from: SERVE,
    async run(context) {
      const peer = await context.peer();
      await peer.open('demand');
      await peer.open('background');
    },
  },
  {
    id: 'source/init/block-order',
    title: 'Blocks may come in any order, and with other host page sizes than the source has',
    from: 'page_source.proto, Init.blocks',
    async run(context) {
      const peer = await context.peer();
      const lane = peer.dial();
      const blocks = peer.migration.blocks
        .map((block) => ({ ...block, host_page_size_bytes: `${2 << 20}` }))
        .reverse();
      lane.send(peer.init('demand', { blocks }));
      const { id } = await context.largestBlock();
      await lane.barrier(id, 1);
      await context.checkPages(lane, id, [1]);
    },
  },
  {
    id: 'source/init/pipelined',
    title: 'Requests may follow INIT at once, without waiting for its acceptance',
    from: `${SERVE}: messages are handled in order`,
    async run(context) {
      const peer = await context.peer();
      const { id } = await context.largestBlock();
      const lane = peer.dial();
      lane.send(peer.init('demand'));
      await lane.pull(id, [3, 4]);
      await context.checkPages(lane, id, [3, 4]);
    },
  },
  {
    id: 'source/init/no-token',
    title: 'A lane without umem-token is refused with UNAUTHENTICATED',
    from: `${SERVE}: UNAUTHENTICATED`,
    async run(context) {
      const peer = await context.peer();
      const lane = peer.dial('demand', { token: null });
      lane.send(peer.init('demand'));
      await checkEnds(lane, [UNAUTHENTICATED]);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/init/wrong-token',
    title:
      'A token that is not this migration’s is refused with PERMISSION_DENIED, and no status tells a right one',
    from: `${SERVE}: PERMISSION_DENIED`,
    async run(context) {
      const peer = await context.peer();
      const { token } = peer;
      const flipped = `${token.startsWith('A') ? 'B' : 'A'}${token.slice(1)}`;
      for (const wrong of ['x', flipped, token.slice(0, -1), `${token}A`]) {
        const lane = peer.dial('demand', { token: wrong });
        lane.send(peer.init('demand'));
        const { details } = await checkEnds(lane, [PERMISSION_DENIED]);
        check(!details.includes(token), 'The status contains the right token');
      }
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/init/token-of-another-migration',
    title: 'A token of an earlier migration is refused with PERMISSION_DENIED',
    from: `${SERVE}: PERMISSION_DENIED`,
    async run(context) {
      const { token } = await context.peer();
      await context.end();
      const peer = await context.peer();
      const lane = peer.dial('demand', { token });
      lane.send(peer.init('demand'));
      await checkEnds(lane, [PERMISSION_DENIED]);
      await context.checkUndisturbed();
    },
  },
  ...BAD_INITS.map(({ id, title, changes, codes, words }): Rule<SourceContext> => ({
    id: `source/init/${id}`,
    title,
    from: `${SERVE} and Init`,
    async run(context) {
      const peer = await context.peer();
      const { blocks } = peer.migration;
      const lane = peer.dial();
      lane.send(peer.init('demand', changes(blocks)));
      await checkEnds(lane, codes, words?.(blocks));
      await context.checkUndisturbed();
      // Nothing of it stays: the same page server is welcome with a good INIT.
      await peer.open('demand');
    },
  })),
  ...Object.entries(EARLY).map(([what, message]): Rule<SourceContext> => ({
    id: `source/init/before-${what}`,
    title: `${what} before INIT ends the lane with INVALID_ARGUMENT`,
    from: `${SERVE}: anything before INIT`,
    async run(context) {
      const peer = await context.peer();
      const lane = peer.dial();
      lane.send(message);
      await checkEnds(lane, [INVALID_ARGUMENT]);
      check(lane.arrivals.length === 0, 'Pages came over a lane without INIT');
      await context.checkUndisturbed();
    },
  })),
  {
    id: 'source/init/before-garbage',
    title: 'Bytes that are no message in the place of INIT end the lane',
    from: `${SERVE}: anything before INIT`,
    async run(context) {
      const lane = (await context.peer()).dial();
      lane.send(GARBAGE);
      await checkEnds(lane, [INVALID_ARGUMENT, INTERNAL]);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/init/nothing',
    title: 'A lane that is closed before INIT ends, and one that never says anything disturbs nobody',
    from: SERVE,
    async run(context) {
      const peer = await context.peer();
      const silent = peer.dial();
      const closed = peer.dial();
      closed.halfClose();
      await closed.ended;
      await context.checkUndisturbed();
      silent.cancel();
    },
  },
  {
    id: 'source/init/error-details',
    title: 'Statuses of lanes and of calls carry google.rpc.Status with ErrorInfo of domain "umem"',
    from: 'protocol.md, What goes wrong, and how; error_details.proto',
    async run(context) {
      const peer = await context.peer();
      const lane = peer.dial();
      lane.send(peer.init('demand', { migration_id: 'no-such-migration' }));
      checkErrorDetails('a refused lane', (await checkEnds(lane, [NOT_FOUND])).metadata);
      const unknown = context.client.call('VmService', 'GetVm', { name: 'no-such-vm' });
      const error: unknown = await unknown.catch((reason: unknown) => reason);
      checkErrorDetails('GetVm of an unknown VM', (error as ServiceError).metadata);
    },
  },
  {
    id: 'source/init/second',
    title: 'A second INIT ends the lane with INVALID_ARGUMENT',
    from: `${SERVE}: a second INIT`,
    async run(context) {
      const peer = await context.peer();
      const lane = await peer.open('demand');
      lane.send(peer.init('demand'));
      await checkEnds(lane, [INVALID_ARGUMENT]);
      await context.checkUndisturbed();
    },
  },
  {
    id: 'source/init/one-demand-lane',
    title: 'A page server’s second demand lane is refused with RESOURCE_EXHAUSTED; the first goes on',
    from: `${SERVE}: at most one demand lane`,
    async run(context) {
      const peer = await context.peer();
      const first = await peer.open('demand');
      const second = peer.dial();
      second.send(peer.init('demand'));
      await checkEnds(second, [RESOURCE_EXHAUSTED]);
      await first.barrier((await context.largestBlock()).id, 2);
    },
  },
  {
    id: 'source/init/bounded-lanes',
    title: 'More lanes than the agent allows are refused with RESOURCE_EXHAUSTED; those that are there go on',
    from: `${SERVE}: RESOURCE_EXHAUSTED`,
    async run(context) {
      const peer = await context.peer();
      const demand = await peer.open('demand');
      for (let count = 1; count <= MANY_LANES; count++) {
        const lane = peer.dial('background');
        lane.send(peer.init('background'));
        if ((await lane.accepted) === null) continue;
        await checkEnds(lane, [RESOURCE_EXHAUSTED]);
        await demand.barrier((await context.largestBlock()).id, 2);
        await context.checkUndisturbed();
        peer.close();
        return `${count} lanes of one page server`;
      }
      throw new Error(`${MANY_LANES} lanes of one page server were accepted`);
    },
  },
];
